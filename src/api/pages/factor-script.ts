/**
 * The only script of our pages: the two passkey ceremonies, which no form can do. Served by us, no dependency, base64url by hand (WebAuthn's own
 * JSON conversion is not in every browser yet). It decides nothing: what it sends is verified by identity/second-factor.
 * A button says which ceremony it begins: `data-passkey="get|create"`, `data-begin`, `data-finish`, and `data-return`.
 */
export const FACTOR_SCRIPT = `'use strict';
const toBytes = (text) => {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
};
const toText = (buffer) => {
  let plain = '';
  for (const byte of new Uint8Array(buffer)) plain += String.fromCharCode(byte);
  return btoa(plain).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
};
const withIds = (list) => (list || []).map((entry) => ({ ...entry, id: toBytes(entry.id) }));

const post = async (path, csrf, body) => {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Told([told.detail, ...(told.rules || []).map((r) => r.detail)].join(' '));
  return told;
};
class Told extends Error {}

const ceremonies = {
  async get(options) {
    const credential = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        allowCredentials: withIds(options.allowCredentials),
      },
    });
    const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response: {
        clientDataJSON: toText(clientDataJSON),
        authenticatorData: toText(authenticatorData),
        signature: toText(signature),
        userHandle: userHandle && userHandle.byteLength > 0 ? toText(userHandle) : null,
      },
    };
  },
  async create(options) {
    const credential = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        user: { ...options.user, id: toBytes(options.user.id) },
        excludeCredentials: withIds(options.excludeCredentials),
      },
    });
    const { clientDataJSON, attestationObject } = credential.response;
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response: {
        clientDataJSON: toText(clientDataJSON),
        attestationObject: toText(attestationObject),
        transports: credential.response.getTransports ? credential.response.getTransports() : [],
      },
    };
  },
};

const REASONS = {
  NotAllowedError: 'The browser was told no, or nobody answered in time. Try again.',
  InvalidStateError: 'This device holds a passkey of yours already.',
  SecurityError: 'The browser gives no passkey to this address.',
  NotSupportedError: 'This device cannot make such a passkey. Try another one.',
  AbortError: 'That was broken off. Try again.',
};

for (const button of document.querySelectorAll('button[data-passkey]')) {
  const form = button.form;
  const say = form.querySelector('[role=alert]');
  const tell = (text) => {
    say.textContent = text;
    say.hidden = text === '';
  };
  if (!window.PublicKeyCredential) {
    button.disabled = true;
    tell('This browser knows no passkeys here. Use a code, or another browser.');
    continue;
  }
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const { passkey, begin, finish } = button.dataset;
    const fields = Object.fromEntries(new FormData(form));
    button.disabled = true;
    tell('');
    try {
      const options = await post(begin, fields.csrf, {});
      const response = await ceremonies[passkey](options);
      const { to } = await post(finish, fields.csrf, { ...fields, response });
      location.assign(to);
    } catch (error) {
      button.disabled = false;
      tell(error instanceof Told ? error.message : REASONS[error.name] || 'That did not work: ' + error.message);
    }
  });
}
`;
