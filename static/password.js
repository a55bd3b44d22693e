// Show and hide, the live list of rules, strength, and ready-made passphrases. Nothing here decides: the server judges again.
'use strict';
(() => {
  for (const button of document.querySelectorAll('button[data-show]')) {
    const fields = button.dataset.show.split(' ').map((id) => document.getElementById(id));
    const set = (shown) => {
      button.setAttribute('aria-pressed', shown);
      for (const f of fields) f.type = shown ? 'text' : 'password';
    };
    button.hidden = false;
    button.addEventListener('click', () => set(button.getAttribute('aria-pressed') !== 'true'));
    // Sent as a password field, so that the browser neither keeps it as text nor shows it on the way back.
    fields[0].form.addEventListener('submit', () => set(false));
    button.show = () => set(true);
  }

  const field = document.querySelector('input[name=password][autocomplete=new-password]');
  if (!field) return;
  const list = document.querySelector('.rules');
  const lines = list ? [...list.querySelectorAll('[data-rule]')] : [];
  const bars = document.querySelector('.bars');
  const say = document.getElementById('strength');
  const length = (s) => [...s].length;

  // true, false, or null for what only the server can tell.
  const met = (line, pw) => {
    const limit = +line.dataset.limit;
    switch (line.dataset.rule) {
      case 'too_short': return length(pw) >= limit;
      case 'too_long': return length(pw) <= limit;
      case 'characters': return /^[ -~]*$/.test(pw);
      case 'complexity': return [/\p{Lu}/u, /\p{Ll}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u, /\p{Lo}/u].filter((r) => r.test(pw)).length >= limit;
      case 'own': return !line.dataset.words.split('|').some((w) => pw.toLowerCase().includes(w.toLowerCase()));
    }
    return null;
  };

  // Rough on purpose: length that is not repetition. The server's judgement is the real one.
  const strength = (pw) => {
    const chars = [...pw];
    const fresh = chars.filter((c, i) => c !== chars[i - 1] && chars.slice(Math.max(0, i - 4), i).indexOf(c) < 0).length;
    const kinds = [/\p{Lu}/u, /\p{Ll}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u].filter((r) => r.test(pw)).length;
    const points = Math.min(fresh, new Set(chars).size * 2) + kinds;
    return points < 10 ? 1 : points < 15 ? 2 : points < 20 ? 3 : 4;
  };

  const look = (left) => {
    const pw = field.value;
    let all = 0, good = 0;
    for (const line of lines) {
      const ok = met(line, pw);
      if (ok === null) continue;
      all++;
      if (ok && pw) good++;
      line.dataset.state = !pw ? 'later' : ok ? 'met' : left || line.dataset.state === 'miss' ? 'miss' : 'later';
      line.querySelector('.vh').textContent = list.dataset[line.dataset.state] || '';
    }
    const level = pw ? (good < all ? Math.min(2, strength(pw)) : strength(pw)) : 0;
    bars.hidden = false;
    bars.dataset.level = level;
    [...bars.children].forEach((b, i) => b.classList.toggle('on', i < level));
    const count = all ? say.dataset.count.replace('%n', good).replace('%m', all) : '';
    const words = level ? say.dataset['s' + level] + ' ' + count : '';
    if (say.textContent !== words) say.textContent = words;
  };
  field.addEventListener('input', () => look(false));
  field.addEventListener('change', () => look(true));
  look(false);

  const offer = document.querySelector('[data-phrases]');
  if (!offer) return;
  const phrases = offer.dataset.phrases.split('|');
  const shown = offer.querySelector('.phrase bdi');
  let at = 0;
  offer.querySelector('.row').hidden = false;
  offer.querySelector('[data-another]').addEventListener('click', () => {
    at = (at + 1) % phrases.length;
    shown.textContent = phrases[at];
  });
  offer.querySelector('[data-use]').addEventListener('click', () => {
    field.value = document.getElementById('confirm').value = phrases[at];
    const button = document.querySelector('button[data-show]');
    if (button) button.show();
    look(true);
    field.focus();
  });
})();
