// Asks the browser for a passkey and posts its answer as JSON in the hidden field "answer".
// <form data-passkey="get|create" data-options="…JSON…" [data-conditional]>; the button is hidden until this runs.
'use strict';
(() => {
  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (b) => b && btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const ids = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const options = (kind, json) => {
    const o = json.publicKey || json;
    if (kind === 'create') {
      if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(o);
      return { ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: ids(o.excludeCredentials) };
    }
    if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(o);
    return { ...o, challenge: bytes(o.challenge), allowCredentials: ids(o.allowCredentials) };
  };

  const answer = (c) => {
    if (c.toJSON) return c.toJSON();
    const r = c.response;
    const out = { id: c.id, rawId: text(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment,
      clientExtensionResults: c.getClientExtensionResults(), response: { clientDataJSON: text(r.clientDataJSON) } };
    for (const k of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) if (r[k]) out.response[k] = text(r[k]);
    if (r.getTransports) out.response.transports = r.getTransports();
    return out;
  };

  for (const form of document.querySelectorAll('form[data-passkey]')) {
    const say = form.querySelector('[data-say]');
    const tell = (what) => { say.textContent = say.dataset[what]; };
    if (!window.PublicKeyCredential || !navigator.credentials) { tell('none'); continue; }
    const kind = form.dataset.passkey;
    const button = form.querySelector('button[hidden]');
    let waiting = null;

    const ask = async (mediation) => {
      if (waiting) waiting.abort();
      const mine = waiting = new AbortController();
      try {
        const request = { publicKey: options(kind, JSON.parse(form.dataset.options)), signal: mine.signal };
        if (mediation) request.mediation = mediation; else tell('busy');
        const credential = await navigator.credentials[kind](request);
        form.elements.answer.value = JSON.stringify(answer(credential));
        form.submit();
      } catch (e) {
        if (mine.signal.aborted || mediation) return;
        tell(e.name === 'InvalidStateError' ? 'known' : 'failed');
        button.disabled = false;
        button.focus();
      }
    };

    button.hidden = false;
    form.addEventListener('submit', (e) => {
      if (form.elements.answer.value) return;
      e.preventDefault();
      button.disabled = true;
      ask();
    });
    // Back from the next page: the old answer is spent.
    addEventListener('pageshow', (e) => { if (e.persisted) { form.elements.answer.value = ''; button.disabled = false; } });
    if (form.hasAttribute('data-conditional') && PublicKeyCredential.isConditionalMediationAvailable) {
      PublicKeyCredential.isConditionalMediationAvailable().then((can) => { if (can && !waiting) ask('conditional'); });
    }
  }
})();
