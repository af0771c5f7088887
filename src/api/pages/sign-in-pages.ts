/** Signing in through an identity provider, and out: the choice of provider, the way there, the way back. */
import {
  beginLogin,
  callbackPath,
  type FinishDeps,
  finishLogin,
  returnPath,
  revokeToken,
} from '../../identity/index.ts';
import { localBuckets } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { addressKey } from '../client-address.ts';
import { BROWSER_COOKIE, newBrowserSecret, SESSION_COOKIE } from './cookies.ts';
import { document, type Html, html, type Page, type PageAnswer, type PageCall } from './page.ts';

const AFTERWARDS = '/beamway/sessions';
/** What people type. */
const HOMES = ['/', '/beamway', '/beamway/'];
/** Each is a row for ten minutes; a laboratory may be one address. */
const BEGUN_PER_MINUTE = 120;

export interface SignInPageDeps extends FinishDeps {
  /** The facility's name for people. */
  readonly title: string;
}

export function signInPages(deps: SignInPageDeps): readonly Page[] {
  const begun = localBuckets({ perSecond: BEGUN_PER_MINUTE / 60, burst: BEGUN_PER_MINUTE }, deps.clock);
  return [
    ...HOMES.map(
      (path): Page => ({
        id: 'sign-in.home',
        method: 'GET',
        path,
        needs: 'nobody',
        audit: false,
        handle: () => ({ kind: 'redirect', to: AFTERWARDS }),
      }),
    ),
    {
      id: 'sign-in.choose',
      method: 'GET',
      path: '/beamway/sign-in',
      needs: 'nobody',
      audit: false,
      handle: (call) => choose(deps, call),
    },
    {
      id: 'sign-in.begin',
      method: 'GET',
      path: '/beamway/sign-in/:provider',
      needs: 'nobody',
      audit: true,
      handle(call) {
        const waitMs = begun.take(addressKey(call.remoteAddress));
        if (waitMs === 0) return begin(deps, call);
        throw new Problem('rate-limited', `More than ${BEGUN_PER_MINUTE} sign-ins a minute from this address.`, {
          retryAfterSeconds: Math.ceil(waitMs / 1000),
        });
      },
    },
    {
      id: 'sign-in.finish',
      method: 'GET',
      path: callbackPath(':provider'),
      needs: 'nobody',
      audit: true,
      handle: (call) => finish(deps, call),
    },
    {
      id: 'sign-in.sign-out',
      method: 'POST',
      path: '/beamway/sign-out',
      needs: 'session',
      audit: true,
      async handle({ session }) {
        if (session !== undefined) await revokeToken(deps, session, session.id);
        return {
          kind: 'redirect',
          to: '/beamway/sign-in?signed-out=yes',
          cookies: [
            { name: SESSION_COOKIE, value: '', maxAgeSeconds: 0 },
            { name: BROWSER_COOKIE, value: '', maxAgeSeconds: 0 },
          ],
        };
      },
    },
  ];
}

function choose(deps: SignInPageDeps, call: PageCall): PageAnswer {
  const back = returnPath(call.query['return'], AFTERWARDS);
  if (call.session !== undefined) return { kind: 'redirect', to: back };
  const query = back === AFTERWARDS ? '' : `?return=${encodeURIComponent(back)}`;
  const choices = deps.providers.list.map(
    (p) => html`<li><a class="button" href="/beamway/sign-in/${p.name}${query}">Sign in with ${p.title}</a></li>`,
  );
  const note =
    call.query['signed-out'] === undefined
      ? html``
      : html`<div class="note" role="status"><p>You are signed out of Beamway in this browser. Your identity provider may still know you: on a shared computer, sign out there too, or close the browser.</p></div>`;
  const body =
    choices.length === 0
      ? html`<p class="lead">Nobody can sign in here yet.</p><p>No identity provider is set up at ${deps.title}. Its operators list one in <code>sign-in.yaml</code>; until then, ask them for a token.</p>`
      : html`<p class="lead">You sign in where your account is, not here. ${deps.title} learns who you are and never sees your password.</p>
<ul class="choices">${choices}</ul>
<p class="quiet">This sign-in is for this browser only and ends when you do not use it. For the command line, run <code>beamway login</code>.</p>`;
  return page(`Sign in to ${deps.title}`, html`${note}${body}`);
}

async function begin(deps: SignInPageDeps, call: PageCall): Promise<PageAnswer> {
  const to = await beginLogin(deps, {
    provider: call.params['provider'] ?? '',
    browser: call.browser,
    origin: call.origin,
    returnTo: call.query['return'],
  });
  return { kind: 'redirect', to: to.href };
}

async function finish(deps: SignInPageDeps, call: PageCall): Promise<PageAnswer> {
  const provider = call.params['provider'] ?? '';
  const url = new URL(callbackPath(provider), call.origin);
  url.search = new URLSearchParams(call.query).toString();
  const newBrowser = newBrowserSecret();
  try {
    const signedIn = await finishLogin(deps, {
      provider,
      url,
      browser: call.browser,
      newBrowser,
      address: call.remoteAddress,
      agent: call.userAgent,
      requestId: call.requestId,
      earlier: call.session?.id,
    });
    // Without an age: closing the browser ends them there, whatever the session's own life is.
    return {
      kind: 'redirect',
      to: signedIn.returnPath,
      cookies: [
        { name: SESSION_COOKIE, value: signedIn.bearer },
        { name: BROWSER_COOKIE, value: newBrowser },
      ],
    };
  } catch (thrown) {
    if (!(thrown instanceof Problem) || thrown.code !== 'sign-in-failed') throw thrown;
    const body = html`<div class="error" role="alert"><p>${thrown.message}</p></div>
<p>Nothing was changed. Begin again from here, in one browser window, and come back within ten minutes.</p>
<p class="actions"><a class="button" href="/beamway/sign-in">Sign in</a></p>
<p class="quiet">If it happens again, tell your facility the request id <code>${call.requestId}</code>.</p>`;
    return page('The sign-in did not work', body, 400);
  }
}

function page(title: string, body: Html, status = 200): PageAnswer {
  return { kind: 'page', status, body: document(title, body) };
}
