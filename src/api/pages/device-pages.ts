/**
 * Confirming a code of the command line (RFC 8628 section 3.3). The person is told what confirming gives away and where the request came from:
 * somebody who sends a code by mail or telephone is the known attack on this flow (section 5.4). Wrong codes are bounded per person.
 */

import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import {
  type DeviceLogin,
  decideDevice,
  factorIsFresh,
  readUserCode,
  type SessionCaller,
  shownUserCode,
  waitingDeviceLogin,
} from '../../identity/index.ts';
import { localBuckets } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { document, type Html, html, type Page, type PageAnswer, type PageCall } from './page.ts';
import { pageTime, places } from './places.ts';

export interface DevicePageDeps {
  readonly db: Queries;
  readonly clock: Clock;
}

/** 10 of 20^8 codes at once, then one a minute. */
const WRONG_CODES = 10;
const SECONDS_A_CODE = 60;

export function devicePages(deps: DevicePageDeps): readonly Page[] {
  const wrong = localBuckets({ perSecond: 1 / SECONDS_A_CODE, burst: WRONG_CODES }, deps.clock);

  const find = async (
    session: SessionCaller,
    text: string,
  ): Promise<{ letters: string; login: DeviceLogin } | string> => {
    if (wrong.left(session.subject) < 1)
      throw new Problem('rate-limited', 'Too many wrong codes. Wait a minute for each further one.', {
        retryAfterSeconds: SECONDS_A_CODE,
      });
    const letters = readUserCode(text);
    const login = letters === undefined ? undefined : await waitingDeviceLogin(deps, letters);
    if (letters !== undefined && login !== undefined) return { letters, login };
    wrong.take(session.subject);
    return 'No sign-in waits under this code. Codes hold for ten minutes and once; check the letters, or run the command again.';
  };

  const show = async (call: PageCall, text: string | undefined): Promise<PageAnswer> => {
    const session = signedIn(call);
    if (text === undefined || text === '') return page('Confirm a code', enter(call, { session, error: undefined }));
    const found = await find(session, text);
    if (typeof found === 'string')
      return page('Confirm a code', enter(call, { session, error: found, typed: text }), 404);
    if (found.login.stepUp && !factorIsFresh(session, found.login)) {
      const back = `/beamway/device?user_code=${shownUserCode(found.letters)}`;
      return { kind: 'redirect', to: `/beamway/factor?return=${encodeURIComponent(back)}` };
    }
    return page('Sign in a command line?', confirm(call, { session, ...found }));
  };

  return [
    {
      id: 'device.show',
      method: 'GET',
      path: '/beamway/device',
      needs: 'session',
      audit: true,
      handle: (call) => show(call, call.query['user_code']),
    },
    {
      id: 'device.enter',
      method: 'POST',
      path: '/beamway/device',
      needs: 'session',
      audit: true,
      handle: (call) => show(call, call.form['user_code']),
    },
    {
      id: 'device.decide',
      method: 'POST',
      path: '/beamway/device/decision',
      needs: 'session',
      audit: true,
      async handle(call) {
        const session = signedIn(call);
        const found = await find(session, call.form['user_code'] ?? '');
        if (typeof found === 'string') throw new Problem('login-expired', found);
        const approve = call.form['decision'] === 'approve';
        await decideDevice(deps, session, { letters: found.letters, approve });
        const body = approve
          ? html`<p class="lead" role="status">Done. Go back to your terminal: it is signed in as <strong>${session.subject}</strong> within a few seconds.</p><p>You can close this page. The command line’s sign-in stands under <a href="/beamway/sessions">your sign-ins</a>, where you can end it.</p>`
          : html`<p class="lead" role="status">Refused. Nobody was signed in.</p><p>If somebody sent you this code, tell your facility’s security office: they tried to sign in as you.</p>`;
        return page(
          approve ? 'The command line is signed in' : 'The code was refused',
          html`${body}${places(call, session)}`,
        );
      },
    },
  ];
}

function signedIn(call: PageCall): SessionCaller {
  if (call.session === undefined) throw new Problem('token-missing', 'You are signed out.');
  return call.session;
}

function enter(
  call: PageCall,
  of: { readonly session: SessionCaller; readonly error: string | undefined; readonly typed?: string },
): Html {
  const error =
    of.error === undefined ? html`` : html`<div class="error" role="alert" id="why"><p>${of.error}</p></div>`;
  return html`<p class="lead">Type the code that <code>beamway login</code> shows in your own terminal.</p>
${error}
<form method="post" action="/beamway/device">
<input type="hidden" name="csrf" value="${call.csrf}">
<label for="user_code">Code</label>
<input class="usercode" type="text" id="user_code" name="user_code" value="${of.typed ?? ''}" required maxlength="20" size="9" autocomplete="off" autocapitalize="characters" spellcheck="false" autofocus placeholder="XXXX-XXXX"${of.error === undefined ? html`` : html` aria-invalid="true" aria-describedby="why"`}>
<p class="quiet">Eight letters. Capitals and the hyphen do not matter.</p>
<div class="actions"><button>Continue</button></div>
</form>
${places(call, of.session)}`;
}

function confirm(
  call: PageCall,
  of: { readonly session: SessionCaller; readonly letters: string; readonly login: DeviceLogin },
): Html {
  const here = of.login.address === call.remoteAddress;
  return html`<p class="lead">Does your own terminal show this code now?</p>
<p class="code">${shownUserCode(of.letters)}</p>
<dl class="facts">
<dt>Asked from</dt><dd>${of.login.address} ${here ? '(the same address as this browser)' : '(not the address of this browser)'}</dd>
<dt>Asked at</dt><dd>${pageTime(of.login.createdAt)}</dd>
<dt>You are</dt><dd>${of.session.subject}${of.session.roles.length > 1 ? ` (${of.session.roles.join(', ')})` : ''}</dd>
<dt>It gets</dt><dd>a sign-in with all that you may do here${of.login.stepUp ? ', with your second factor' : ''}</dd>
</dl>
<div class="note">
<p><strong>Confirm only what you began yourself.</strong> If the code came by mail, chat or telephone, or from anybody else, somebody wants to work as you. Facility staff never send you a code.</p>
</div>
<form method="post" action="/beamway/device/decision">
<input type="hidden" name="csrf" value="${call.csrf}">
<input type="hidden" name="user_code" value="${of.letters}">
<div class="actions">
<button name="decision" value="approve">Yes, sign it in</button>
<button class="danger" name="decision" value="deny">No, refuse it</button>
</div>
</form>`;
}

function page(title: string, body: Html, status = 200): PageAnswer {
  return { kind: 'page', status, body: document(title, body) };
}
