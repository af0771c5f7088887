/** A person's own sign-ins: which are alive, where they came from, and an end for each. */
import { type OwnSession, type RevokeDeps, revokeToken, sessionsOf } from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import { SESSION_COOKIE } from './cookies.ts';
import { document, type Html, html, type Page, type PageCall } from './page.ts';
import { pageTime, places } from './places.ts';

const METHODS: Readonly<Record<string, string>> = {
  oidc: 'identity provider',
  'oidc-factor': 'second factor there',
  local: 'development account',
  totp: 'one-time code',
  webauthn: 'passkey',
  'recovery-code': 'recovery code',
  'break-glass': 'break-glass',
  issued: 'issued by the facility',
};

export function sessionPages(deps: RevokeDeps): readonly Page[] {
  return [
    {
      id: 'session.list',
      method: 'GET',
      path: '/beamway/sessions',
      needs: 'session',
      audit: false,
      async handle(call) {
        const { session } = signedIn(call);
        const own = await sessionsOf(deps.db, session.subject, new Date(call.now));
        const cards = own.map((s) => card(call, { of: s, here: s.id === session.id }));
        const roles = session.roles.filter((r) => r !== 'member');
        const body = html`<p class="lead">You are signed in as <strong>${session.subject}</strong>${roles.length === 0 ? '' : ` (${roles.join(', ')})`}. These are your sign-ins that still hold. End any that you do not know.</p>
<ul class="cards">${cards}</ul>
${places(call, session)}`;
        return { kind: 'page', status: 200, body: document('Your sign-ins', body) };
      },
    },
    {
      id: 'session.revoke',
      method: 'POST',
      path: '/beamway/sessions/:id/revoke',
      needs: 'session',
      audit: true,
      async handle(call) {
        const { session } = signedIn(call);
        const id = call.params['id'] ?? '';
        const own = await sessionsOf(deps.db, session.subject, new Date(call.now));
        if (!own.some((s) => s.id === id)) throw new Problem('not-found', 'You have no such sign-in.');
        await revokeToken(deps, session, id);
        if (id !== session.id) return { kind: 'redirect', to: '/beamway/sessions' };
        const cookies = [{ name: SESSION_COOKIE, value: '', maxAgeSeconds: 0 }];
        return { kind: 'redirect', to: '/beamway/sign-in?signed-out=yes', cookies };
      },
    },
  ];
}

function signedIn(call: PageCall) {
  if (call.session === undefined) throw new Problem('token-missing', 'You are signed out.');
  return { session: call.session };
}

function card(call: PageCall, { of: s, here }: { readonly of: OwnSession; readonly here: boolean }): Html {
  const what = s.provider === 'command line' ? 'Command line' : s.provider === null ? 'Issued bearer' : 'Browser';
  const fact = (name: string, value: Html | string): Html => html`<dt>${name}</dt><dd>${value}</dd>`;
  const facts = [
    fact('Signed in', pageTime(s.createdAt)),
    ...(s.lastSeenAt === null || s.provider === 'command line' ? [] : [fact('Last used', pageTime(s.lastSeenAt))]),
    fact('Ends', pageTime(s.expiresAt)),
    ...(s.address === null ? [] : [fact('From', s.address)]),
    fact('How', s.methods.map((m) => METHODS[m] ?? m).join(', ')),
    ...(s.factorAt === null ? [] : [fact('Second factor', pageTime(s.factorAt))]),
    ...(what === 'Browser' && s.agent !== null ? [fact('Program', agentName(s.agent))] : []),
  ];
  const label = `End the sign-in of ${s.createdAt.toISOString().slice(0, 16).replace('T', ' ')}`;
  return html`<li>
<h2>${what}${here ? html` <span class="tag">this one</span>` : ''}</h2>
<dl class="facts">${facts}</dl>
<form method="post" action="/beamway/sessions/${s.id}/revoke">
<input type="hidden" name="csrf" value="${call.csrf}">
<button class="danger small" aria-label="${here ? `${label}, this one` : label}">${here ? 'End this one' : 'End it'}</button>
</form>
</li>`;
}

/** Browser and system, roughly: a hint for people, never a decision. */
function agentName(agent: string): string {
  const browser = /(Firefox|Edg|OPR|Chrome|Safari)\/\d+/.exec(agent)?.[0].replace('Edg', 'Edge').replace('/', ' ');
  const system = /(Windows|Macintosh|Android|iPhone|iPad|Linux)/.exec(agent)?.[0];
  if (browser === undefined) return agent.slice(0, 80) || 'unknown';
  return system === undefined ? browser : `${browser} on ${system}`;
}
