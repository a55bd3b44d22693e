// Of a shared screen: the clock, the countdown that clears it, and the key by which its browser is known.
// The key cannot leave the browser, and is the only thing kept in it.
'use strict';
(() => {
  const page = document.body;
  const home = '/kiosk';
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join('');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };

  // A page out of the browser's memory belongs to somebody who has left.
  addEventListener('pageshow', (e) => { if (e.persisted) location.replace(home); });
  // Nothing of another site, no second window, no file and no menu comes from here.
  for (const what of ['contextmenu', 'dragover', 'drop', 'dragstart']) addEventListener(what, (e) => e.preventDefault());

  const clock = document.querySelector('[data-clock]');
  if (clock) {
    const from = 1000 * clock.dataset.clock - performance.now(); // seconds of the day, by the server
    const tick = () => {
      const s = Math.floor((from + performance.now()) / 1000) % 86400;
      clock.textContent = String(Math.floor(s / 3600)).padStart(2, '0') + ':' + String(Math.floor(s / 60) % 60).padStart(2, '0');
    };
    setInterval(tick, 1000);
  }

  const idle = document.querySelector('[data-idle]');
  if (idle) {
    const all = 1000 * idle.dataset.idle;
    const bar = document.querySelector('.idle i');
    const aloud = document.querySelector('[data-warn]');
    let end = performance.now() + all, left = 0, gone = false, used = false;
    // Somebody may type for longer than the server waits.
    setInterval(() => { if (used && !gone) { used = false; fetch('/kiosk/here', { cache: 'no-store' }).catch(() => {}); } }, 30000);
    const touched = () => {
      used = true;
      end = performance.now() + all;
      if (bar) { bar.classList.remove('run'); void bar.offsetWidth; bar.classList.add('run'); }
      if (aloud) aloud.textContent = '';
      show();
    };
    const show = () => {
      const now = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      if (now === left) return;
      left = now;
      idle.textContent = idle.dataset.text.replace('%n', left > 90 ? idle.dataset.m.replace('%n', Math.ceil(left / 60)) : idle.dataset.s.replace('%n', left));
      page.classList.toggle('soon', left <= 20);
      if (left === 20 && aloud) aloud.textContent = aloud.dataset.warn.replace('%n', left);
      if (left === 0 && !gone) { gone = true; for (const f of document.forms) f.reset(); location.replace(home); }
    };
    for (const what of ['pointerdown', 'keydown', 'input', 'wheel', 'touchmove']) addEventListener(what, touched, { passive: true, capture: true });
    if (bar) bar.classList.add('run');
    show();
    setInterval(show, 250);
  }

  const database = () => new Promise((done, fail) => {
    const open = indexedDB.open('kiosk', 1);
    open.onupgradeneeded = () => open.result.createObjectStore('device');
    open.onsuccess = () => done(open.result);
    open.onerror = () => fail(open.error);
  });
  // What change makes of the device's row is on the disk before this returns it.
  const device = async (change) => {
    const db = await database();
    try {
      return await new Promise((done, fail) => {
        const t = db.transaction('device', 'readwrite', { durability: 'strict' });
        const store = t.objectStore('device');
        const get = store.get('key');
        let row;
        get.onsuccess = () => { row = change(get.result); if (row) store.put(row, 'key'); };
        t.oncomplete = () => done(row);
        t.onerror = t.onabort = () => fail(t.error);
      });
    } finally { db.close(); }
  };
  const print = async (key) => hex(await crypto.subtle.digest('SHA-256', await crypto.subtle.exportKey('spki', key)));
  const sign = async (key, what) => text(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, new TextEncoder().encode(what)));

  const renew = async () => {
    // The counter rises before it is sent: a copy of the key shows by one that does not.
    const row = await device((d) => d && { ...d, counter: d.counter + 1 });
    if (!row) return 404;
    const { challenge, origin } = await (await fetch('/kiosk/challenge', { cache: 'no-store' })).json();
    const id = await print(row.pair.publicKey);
    const answer = await sign(row.pair.privateKey, ['postern kiosk renew v1', origin, id, row.counter, challenge].join('\n'));
    const body = new URLSearchParams({ csrf: document.querySelector('[data-csrf]').dataset.csrf, print: id, counter: row.counter, challenge, answer });
    return (await fetch('/kiosk/pass', { method: 'POST', body, credentials: 'same-origin', cache: 'no-store' })).status;
  };
  const alone = (work) => (navigator.locks ? navigator.locks.request('kiosk', work) : work());

  const soon = Number(page.dataset.renew || 0);
  const again = (after) => setTimeout(async () => {
    try { await alone(renew); } catch (e) { again(30); return; }
    again(270);
  }, 1000 * after);
  if (soon > 0) again(soon);

  // The page for who has no pass: one whose key is here gets its next one.
  const shut = document.querySelector('[data-back]');
  if (shut) {
    const attempt = async (after) => {
      try {
        const status = await alone(renew);
        if (status === 204 || status === 409) { location.replace(home); return; }
        if (status !== 403 && status !== 404) throw status;
        shut.hidden = true;
        document.querySelector('[data-unknown]').hidden = false;
      } catch (e) {
        document.querySelector('[data-offline]').hidden = false;
        setTimeout(attempt, 1000 * after, Math.min(60, after * 2));
      }
    };
    shut.hidden = false;
    document.querySelector('[data-unknown]').hidden = true;
    attempt(2);
  }

  const form = document.querySelector('form[data-register]');
  if (form) {
    const can = window.crypto && crypto.subtle && window.indexedDB;
    form.querySelector('[data-cannot]').hidden = Boolean(can);
    for (const e of form.elements) e.disabled = !can;
    form.addEventListener('submit', async (e) => {
      e.preventDefault();
      try {
        const pair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
        await device(() => ({ pair, counter: 0 }));
        form.elements.public.value = text(await crypto.subtle.exportKey('spki', pair.publicKey));
        form.elements.answer.value = await sign(pair.privateKey, ['postern kiosk register v1', form.dataset.origin, form.elements.challenge.value].join('\n'));
        form.submit();
      } catch (e) {
        form.querySelector('[data-cannot]').hidden = false;
      }
    });
  }
})();
