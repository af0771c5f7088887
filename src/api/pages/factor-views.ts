/** What the pages of the second factor look like: text and forms, no decision. Written for somebody who has a beam running and slept little. */
import { renderSVG } from 'uqr';
import type { Factor, TotpOffer } from '../../identity/index.ts';
import { backOf, carried, FACTOR_PATH, FACTORS_PATH, hidden, RECOVERY_PATH, withReturn } from './factor-return.ts';
import { type Html, html, type PageCall } from './page.ts';
import { pageTime } from './places.ts';

const KINDS = { totp: 'Authenticator app', webauthn: 'Passkey', 'recovery-code': 'Recovery codes' } as const;

export const errorBox = (text: string | undefined): Html =>
  text === undefined ? html`` : html`<div class="error" role="alert" id="why"><p>${text}</p></div>`;

export interface StepUpView {
  readonly passkeys: boolean;
  readonly codes: boolean;
  readonly error: string | undefined;
}

export function stepUpView(call: PageCall, view: StepUpView): Html {
  const { passkeys, codes, error } = view;
  const lead =
    backOf(call) === FACTORS_PATH
      ? 'Then you can change your factors, and for a while do what asks for one.'
      : 'What you are about to do needs it. Afterwards you go on where you were.';
  const first = !passkeys || error !== undefined;
  const passkey = html`<form method="post">
${carried(call)}
<p class="error" role="alert" hidden></p>
<div class="actions"><button data-passkey="get" data-begin="${FACTOR_PATH}/passkey/begin" data-finish="${FACTOR_PATH}/passkey/finish"${first ? html`` : html` autofocus`}>Use a passkey</button></div>
<p class="quiet">Your device then asks for your finger, face or PIN. A security key: plug it in and touch it.</p>
</form>`;
  const code = html`<form method="post" action="${FACTOR_PATH}/code">
${carried(call)}
<label for="code">${codes ? 'Code from your authenticator app' : 'Recovery code'}</label>
<input class="usercode" type="text" id="code" name="code" required maxlength="40" size="12" autocomplete="one-time-code" spellcheck="false"${codes ? html` inputmode="text"` : html``}${first ? html` autofocus` : html``}${error === undefined ? html`` : html` aria-invalid="true" aria-describedby="why"`}>
<p class="quiet">${codes ? 'Six digits, which change every 30 seconds. A recovery code works here too, once.' : 'One of the ten codes that you kept. Each works once.'}</p>
<div class="actions"><button${passkeys ? html` class="second"` : html``}>Continue</button></div>
</form>`;
  return html`${errorBox(error)}
<p class="lead">${lead}</p>
${passkeys ? html`${passkey}<h2>Or type a code</h2>` : html``}
${code}
<p class="quiet">Lost all of them? Ask an administrator or security officer of the facility for a reset.</p>`;
}

export function noFactorView(call: PageCall): Html {
  return html`<p class="lead">What you are about to do needs a second factor, and you have none yet.</p>
<div class="actions"><a class="button" href="${withReturn(FACTORS_PATH, call)}">Set one up</a></div>
<p class="quiet">It takes about a minute: a passkey of this device, a security key, or an app on your telephone. Then you go on where you were.</p>`;
}

export interface ManageView {
  readonly factors: readonly Factor[];
  readonly needs: 'show-factor' | 'sign-in-again' | undefined;
  readonly passkeysPossible: boolean;
  readonly error?: string | undefined;
}

export function manageView(call: PageCall, view: ManageView): Html {
  const { factors, needs } = view;
  const real = factors.filter((f) => f.method !== 'recovery-code');
  const recovery = factors.find((f) => f.method === 'recovery-code');
  const lead =
    real.length === 0
      ? html`<p class="lead">A second factor proves that it is you, not only somebody with your password. You need one for the moderate enclave and for approvals.</p>`
      : html`<p class="lead">These prove that it is you. Remove any that you no longer have in your hands.</p>`;
  const cards = real.map((f) => factorCard(call, { factor: f, changeable: needs === undefined }));
  return html`${errorBox(view.error)}${lead}${needsView(call, needs)}
${real.length === 0 ? html`` : html`<ul class="cards">${cards}</ul>`}
${real.length === 1 && recovery === undefined ? html`<div class="note"><p>You have one factor and no recovery codes: if you lose it, only an administrator can let you in again. Add a second one, or make recovery codes.</p></div>` : html``}
${needs === undefined ? html`${addView(call, view.passkeysPossible)}${real.length === 0 ? html`` : recoveryView(call, recovery)}` : html``}`;
}

function needsView(call: PageCall, needs: ManageView['needs']): Html {
  if (needs === 'show-factor')
    return html`<div class="note"><p>To change anything here, show a second factor first. That holds for five minutes.</p>
<p><a class="button" href="${FACTOR_PATH}?return=${encodeURIComponent(FACTORS_PATH)}">Show my second factor</a></p></div>`;
  if (needs === 'sign-in-again')
    return html`<div class="note"><p>The first factor is set up within ten minutes of signing in, so that nobody does it at a screen you left open. Sign out and in again, then come back here.</p>
<form method="post" action="/beamway/sign-out">${hidden('csrf', call.csrf)}<p><button>Sign out</button></p></form></div>`;
  return html``;
}

function factorCard(
  call: PageCall,
  { factor: f, changeable }: { readonly factor: Factor; readonly changeable: boolean },
): Html {
  const used = f.lastUsedAt === null ? html`never` : pageTime(f.lastUsedAt);
  const remove = html`<form method="post" action="${FACTORS_PATH}/remove">
${carried(call)}${hidden('id', f.id)}
<button class="danger small" aria-label="Remove ${f.name}">Remove</button></form>`;
  return html`<li><h2>${f.name}${f.name === KINDS[f.method] ? html`` : html` <span class="tag">${KINDS[f.method]}</span>`}</h2>
<dl class="facts"><dt>Set up</dt><dd>${pageTime(f.createdAt)}</dd><dt>Last used</dt><dd>${used}</dd>${f.method === 'webauthn' ? html`<dt>Where</dt><dd>${f.backedUp ? 'on your devices that share passkeys' : 'on one device only'}</dd>` : html``}</dl>
${changeable ? remove : html``}</li>`;
}

function addView(call: PageCall, passkeysPossible: boolean): Html {
  const passkey = passkeysPossible
    ? html`<li><h3>A passkey</h3>
<p>The finger, face or PIN of this device, or a security key. Nothing to type, and no false page can trick it.</p>
<form method="post">${carried(call)}
<label for="passkey-name">Its name, for you</label>
<input type="text" id="passkey-name" name="name" maxlength="60" autocomplete="off" placeholder="Control room laptop">
<p class="error" role="alert" hidden></p>
<button data-passkey="create" data-begin="${FACTORS_PATH}/passkey/begin" data-finish="${FACTORS_PATH}/passkey/finish">Add a passkey</button></form></li>`
    : html`<li><h3>A passkey</h3><p>Not at this address: browsers give passkeys to host names behind https only.</p></li>`;
  return html`<h2>Add a factor</h2><ul class="cards">${passkey}
<li><h3>An authenticator app</h3>
<p>An app on your telephone that shows six digits, such as Aegis, FreeOTP, Google or Microsoft Authenticator.</p>
<form method="post" action="${FACTORS_PATH}/app">${carried(call)}<button class="second">Add an app</button></form></li></ul>`;
}

function recoveryView(call: PageCall, recovery: Factor | undefined): Html {
  return html`<h2>Recovery codes</h2>
<p>${recovery === undefined ? 'For the day your device is gone: ten codes on paper, each good once.' : `${recovery.codesLeft ?? 0} of your ten codes are unused.`}</p>
<div class="actions"><a class="button second" href="${withReturn(RECOVERY_PATH, call)}">${recovery === undefined ? 'Make recovery codes' : 'Make new ones'}</a></div>`;
}

/** The secret as a picture and as text; apps take either. */
export function offerView(
  call: PageCall,
  of: { readonly offer: TotpOffer; readonly uri: string; readonly name: string; readonly error: string | undefined },
): Html {
  const picture: Html = { html: renderSVG(of.uri, { ecc: 'M', border: 3 }) };
  const letters = of.offer.secret.replaceAll(/.{4}(?=.)/g, '$& ');
  return html`${errorBox(of.error)}
<ol class="steps"><li><p>Open your authenticator app and scan this picture.</p>
<figure class="qr" role="img" aria-label="QR code for your authenticator app">${picture}</figure>
<p class="quiet">Cannot scan? Type this key into the app, time based, six digits:<br><code>${letters}</code></p></li>
<li><p>Type the six digits that the app now shows.</p>
<form method="post" action="${FACTORS_PATH}/app/confirm">
${carried(call)}${hidden('id', of.offer.id)}
<label for="code">Code</label>
<input class="usercode" type="text" id="code" name="code" required maxlength="12" size="8" inputmode="numeric" autocomplete="one-time-code" autofocus${of.error === undefined ? html`` : html` aria-invalid="true" aria-describedby="why"`}>
<label for="name">Its name, for you</label>
<input type="text" id="name" name="name" maxlength="60" autocomplete="off" placeholder="My telephone" value="${of.name}">
<div class="actions"><button>Finish</button><a class="button second" href="${withReturn(FACTORS_PATH, call)}">Cancel</a></div>
</form></li></ol>`;
}

export function recoveryOfferView(call: PageCall, first: boolean): Html {
  return html`<p class="lead">${first ? 'Your second factor is set up. ' : ''}Recovery codes let you in when your device is lost, broken or out of power: ten codes, each good once.</p>
<p>They are shown once. Have paper or a password safe at hand.${first ? '' : ' New ones take the place of those you have.'}</p>
<form method="post" action="${RECOVERY_PATH}">${carried(call)}
<div class="actions"><button>Show ten codes</button><a class="button second" href="${backOf(call)}">${first ? 'Later' : 'Cancel'}</a></div></form>`;
}

export function recoveryCodesView(call: PageCall, codes: readonly string[]): Html {
  return html`<p class="lead">Write these down or print them now. They are not shown again.</p>
<ul class="codes">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
<p>Each works once, wherever a code is asked for. Keep them apart from your device.</p>
<div class="actions"><a class="button" href="${backOf(call)}">I have kept them</a></div>`;
}
