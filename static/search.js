// Searches while somebody types: after a pause, with three letters or more. It asks for the page that the
// form leads to and takes its list. Without it the form does the same.
'use strict';
(() => {
  const field = document.querySelector('[data-search]');
  const list = field && document.getElementById(field.dataset.search);
  const count = document.getElementById('count');
  if (!list || !count || !window.AbortController) return;
  const pause = 200;
  let timer = 0;
  let running = null; // of the newest search; an older one never touches the page
  let shown = field.value.trim();

  const say = (text) => { if (count.textContent !== text) count.textContent = text; };

  const ask = async (text) => {
    const mine = running = new AbortController();
    try {
      const answer = await fetch(field.form.action + '?' + new URLSearchParams({ q: text }), { credentials: 'same-origin', cache: 'no-store', signal: mine.signal });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (mine !== running) return;
      const next = page.getElementById(list.id);
      const fault = page.querySelector('[data-error]');
      list.replaceChildren(...(next ? document.importNode(next, true).childNodes : []));
      // Where the page is another one (a proof is asked for, the session is over), the button leads there.
      say(next ? (fault || page.getElementById('count')).textContent.trim() : count.dataset.press);
      shown = text;
    } catch (e) {
      if (mine === running) { list.replaceChildren(); say(count.dataset.press); shown = ''; }
    }
  };

  field.addEventListener('input', () => {
    clearTimeout(timer);
    const text = field.value.trim();
    if (text === shown) return;
    if (running) running.abort();
    running = null;
    shown = null;
    if ([...text].length < 3) { list.replaceChildren(); say(''); return; }
    timer = setTimeout(ask, pause, text);
  });
})();
