// Keys on the screen, for devices that have none. They type into the field that has the focus, and never take it.
// The whole of it is hidden from screen readers: the keys of a password must not be spoken. It keeps nothing.
'use strict';
(() => {
  const board = document.querySelector('[data-keyboard]');
  if (!board) return;
  if (board.dataset.keyboard !== 'on' && !matchMedia('(hover: none) and (pointer: coarse)').matches) return;
  const say = board.dataset;
  const fields = () => [...document.querySelectorAll('main input.input:not([readonly]):not(:disabled)')].filter((f) => f.offsetParent);
  if (!fields().length) return;

  const symbols = ['1234567890', '!"#$%&\'()*', '+,-./:;<=>?', '@[\\]^_`{|}~', '€£§°´¨«»µ¿'];
  const layouts = {
    en: { keys: ['1234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm'] },
    de: { keys: ['1234567890ß', 'qwertzuiopü', 'asdfghjklöä', 'yxcvbnm'] },
    ar: { keys: ['ذ1234567890', 'ضصثقفغعهخحجد', 'شسيبلاتنمكط', 'ئءؤرىةوزظ'], more: ['٠١٢٣٤٥٦٧٨٩', 'أإآـ', 'ًٌٍَُِّْ', '،؛؟'] },
  };
  // An operator may have added languages that have no keys here.
  const languages = say.layouts.split(' ');
  const order = languages.filter((l) => layouts[l]);
  const names = order.map((l) => say.names.split('|')[languages.indexOf(l)]);
  if (!order.length) order.push('en');
  let at = Math.max(0, order.indexOf(document.documentElement.lang));
  let mode = 'low'; // low, once, caps, signs

  let field = null;
  const show = () => field.scrollIntoView({ block: 'center' }); // above the keys
  document.addEventListener('focusin', (e) => { if (fields().includes(e.target)) { field = e.target; show(); } });
  const target = () => {
    if (!field || !field.isConnected) { field = fields().includes(document.activeElement) ? document.activeElement : fields()[0]; }
    if (document.activeElement !== field) field.focus({ preventScroll: true });
    return field;
  };
  const put = (text, from, to) => {
    const f = target();
    const room = f.maxLength < 0 || f.value.length - (to - from) + text.length <= f.maxLength;
    if (!room) return;
    f.setRangeText(text, from, to, 'end');
    f.dispatchEvent(new InputEvent('input', { bubbles: true, inputType: text ? 'insertText' : 'deleteContentBackward' }));
  };
  const type = (text) => {
    const f = target();
    put(text, f.selectionStart, f.selectionEnd);
    if (mode === 'once') { mode = 'low'; draw(); }
  };
  // A letter with its marks goes as one.
  const last = (text) => {
    const parts = self.Intl && Intl.Segmenter ? [...new Intl.Segmenter().segment(text)].map((s) => s.segment) : Array.from(text);
    return parts.length ? parts[parts.length - 1].length : 0;
  };
  const back = () => {
    const f = target();
    const from = f.selectionStart === f.selectionEnd ? f.selectionStart - last(f.value.slice(0, f.selectionStart)) : f.selectionStart;
    if (from === f.selectionEnd) return false;
    put('', from, f.selectionEnd);
    return true;
  };
  let held = 0;
  const hold = (wait) => { clearTimeout(held); if (back()) held = setTimeout(hold, wait, 80); };
  for (const what of ['pointerup', 'pointercancel']) addEventListener(what, () => clearTimeout(held));
  const next = () => {
    const f = target();
    const all = fields().filter((x) => x.form === f.form);
    const after = all[all.indexOf(f) + 1];
    if (after) after.focus();
    else if (f.form.requestSubmit) f.form.requestSubmit(f.form.querySelector('.btn.go'));
    else f.form.querySelector('.btn.go').click();
  };

  const key = (label, act, className, icon) => {
    const b = document.createElement('button');
    b.type = 'button';
    b.tabIndex = -1;
    if (className) b.className = className;
    if (icon) b.append(board.querySelector('template[data-icon=' + icon + ']').content.cloneNode(true));
    else b.textContent = label;
    b.act = act;
    return b;
  };
  const row = (...keys) => { const r = document.createElement('div'); r.append(...keys); return r; };

  function draw() {
    const layout = layouts[order[at]];
    const high = mode === 'once' || mode === 'caps';
    let rows = mode === 'signs' ? symbols : layout.keys;
    if (high && layout.more) rows = layout.more;
    const list = rows.map((r) => row(...Array.from(r).map((c) => { const t = high && c !== 'ß' ? c.toUpperCase() : c; return key((/\p{M}/u.test(t) ? '◌' : '') + t, () => type(t)); })));
    const shift = key('', () => { mode = mode === 'low' ? 'once' : mode === 'once' ? 'caps' : 'low'; draw(); }, 'w', 'shift');
    shift.setAttribute('aria-pressed', String(high));
    if (mode === 'caps') shift.classList.add('held');
    const end = list[list.length - 1];
    if (mode !== 'signs') end.prepend(shift);
    end.append(key('', () => hold(500), 'w', 'back'));
    list.push(row(
      key(mode === 'signs' ? say.letters : say.symbols, () => { mode = mode === 'signs' ? 'low' : 'signs'; draw(); if (field) show(); }, 'w'),
      ...(order.length > 1 ? [key(names[(at + 1) % order.length], () => { at = (at + 1) % order.length; mode = 'low'; draw(); }, 'w')] : []),
      key('-', () => type('-')),
      key(say.space, () => type(' '), 'space'),
      key('.', () => type('.')),
      key(say.next, next, 'w next')));
    board.querySelectorAll('div').forEach((d) => d.remove());
    board.append(...list);
  }

  // A key counts when a finger comes down on it, as on a keyboard: two thumbs overlap, and browsers make no
  // click of that. What leads on waits until the finger leaves, since it can still be drawn away.
  let waiting = null;
  const over = (e) => { const at = document.elementFromPoint(e.clientX, e.clientY); return at && at.closest('.kbd button'); };
  board.addEventListener('pointerdown', (e) => {
    e.preventDefault(); // the focus stays where the person put it
    const b = over(e);
    if (!b || e.button !== 0) return;
    if (b.classList.contains('next')) waiting = e.pointerId;
    else b.act();
  });
  addEventListener('pointerup', (e) => {
    if (waiting !== e.pointerId) return;
    waiting = null;
    const b = over(e);
    if (b && b.classList.contains('next')) b.act();
  });
  addEventListener('pointercancel', () => { waiting = null; });
  board.addEventListener('click', (e) => { const b = e.target.closest('button'); if (b && e.detail === 0) b.act(); }); // of a script or a switch
  board.addEventListener('mousedown', (e) => e.preventDefault());
  for (const f of fields()) f.setAttribute('inputmode', 'none'); // or the system's own keys would cover the page
  draw();
  board.classList.add('up');
  document.documentElement.classList.add('keyed');
  if (fields().includes(document.activeElement)) { field = document.activeElement; show(); }
})();
