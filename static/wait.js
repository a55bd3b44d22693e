// Looks again every data-every seconds at the page data-poll names. Goes there when it has moved on to another step;
// otherwise renews only the parts marked data-live.
'use strict';
(() => {
  const at = document.querySelector('[data-poll]');
  if (!at) return;
  const usual = 1000 * (at.dataset.every || 5);
  const step = document.getElementById('main').dataset.step;
  let pause = usual;

  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(at.dataset.poll, { credentials: 'same-origin', cache: 'no-store' });
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        const main = page.getElementById('main');
        // Also when the page has closed meanwhile: nobody may be sitting before it any more.
        if (main && main.dataset.step !== step && (answer.ok || main.dataset.step === 'prove')) { location.replace(at.dataset.poll); return; }
        if (answer.ok && main) renew(page);
        pause = answer.ok ? usual : Math.min(pause * 2, 60000);
      } catch (e) {
        pause = Math.min(pause * 2, 60000);
      }
    }
    setTimeout(look, pause);
  };

  const renew = (page) => {
    for (const old of document.querySelectorAll('[data-live]')) {
      const next = page.getElementById(old.id);
      // Not under somebody who is reading or tabbing through it.
      if (!next || next.innerHTML === old.innerHTML || old.querySelector('details[open]') || old.contains(document.activeElement)) continue;
      old.replaceChildren(...document.importNode(next, true).childNodes);
    }
  };
  setTimeout(look, pause);
})();
