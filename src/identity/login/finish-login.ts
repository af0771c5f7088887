/**
 * The browser is back from the identity provider: its sign-in is taken (once), the answer is verified, and a session begins that is bound to a
 * new secret of this browser. What the provider says is the only proof; nothing of an earlier session is carried over.
 */
import type { AuditLog } from '../../audit/index.ts';
import { transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { systemCaller } from '../caller.ts';
import { issueSession } from '../issue-token.ts';
import { revokeToken } from '../revoke-token.ts';
import type { TokenVerifier } from '../verify-token.ts';
import { digestOf, type LoginDeps, loginSecrets } from './begin-login.ts';
import { insertSignIn, takeLogin } from './login-store.ts';
import { type Person, personOfClaims } from './person-of-claims.ts';
import { DEV_PROVIDER, type Provider, type SignInSettings } from './sign-in-settings.ts';

export interface FinishDeps extends LoginDeps {
  readonly audit: AuditLog;
  readonly verifier: Pick<TokenVerifier, 'refresh' | 'verify'>;
  readonly sessions: SignInSettings['sessions'];
  readonly log: { warn(fields: object, text: string): void };
}

export interface Callback {
  readonly provider: string;
  /** As the browser has it, query included. */
  readonly url: URL;
  readonly browser: string;
  /** The secret to which the session is bound from now on. */
  readonly newBrowser: string;
  readonly address: string;
  readonly agent: string;
  readonly requestId: string;
  /** The session that this browser had, which ends. */
  readonly earlier: string | undefined;
}

export interface SignedIn {
  readonly bearer: string;
  readonly subject: string;
  readonly returnPath: string;
}

/** Throws `sign-in-failed`, `not-found`, `unavailable`. */
export async function finishLogin(deps: FinishDeps, callback: Callback): Promise<SignedIn> {
  const provider = deps.providers.list.find((p) => p.name === callback.provider);
  if (provider === undefined) throw new Problem('not-found', `No identity provider ${callback.provider}.`);
  const state = callback.url.searchParams.get('state') ?? '';
  const login = await takeLogin(deps.db, {
    state: digestOf(state),
    provider: provider.name,
    browser: digestOf(callback.browser),
    at: new Date(deps.clock.now()),
  });
  if (login === undefined)
    throw new Problem('sign-in-failed', 'This sign-in was begun in another browser, took too long, or is used up.');
  const person = await personFrom(deps, provider, { callback, state });
  const { token, value } = await transaction(deps.db, async (trx) => {
    const issued = await issueSession(
      { db: trx, clock: deps.clock },
      {
        subject: person.subject,
        roles: person.roles,
        lifetimeSeconds: Math.round(deps.sessions.browserHours * 3600),
        by: `sign-in:${provider.name}`,
        methods: person.methods,
        browser: digestOf(callback.newBrowser),
        ...(person.factorAt === null ? {} : { factorAt: person.factorAt }),
      },
    );
    await insertSignIn(trx, {
      token: issued.token.id,
      provider: provider.title,
      address: callback.address,
      agent: callback.agent,
      idleSeconds: Math.round(deps.sessions.browserIdleMinutes * 60),
      at: new Date(deps.clock.now()),
    });
    return issued;
  });
  await checkWelcome(deps, { token: token.id, bearer: value, callback });
  await recordSignIn(deps, { token: token.id, person, provider, callback });
  if (callback.earlier !== undefined) await revokeToken(deps, systemCaller('sign-in'), callback.earlier);
  return { bearer: value, subject: person.subject, returnPath: login.returnPath };
}

async function personFrom(
  deps: FinishDeps,
  provider: Provider,
  answer: { readonly callback: Callback; readonly state: string },
): Promise<Person> {
  const { callback, state } = answer;
  try {
    const secrets = loginSecrets(callback.browser, state);
    const claims = await deps.providers.finish(provider.name, { secrets, callback: callback.url });
    const person = personOfClaims(provider, claims, deps.clock.now());
    return provider.name === DEV_PROVIDER ? { ...person, methods: ['local'] } : person;
  } catch (thrown) {
    // The person is told little; the operator must see which check it was.
    if (thrown instanceof Problem && thrown.cause !== undefined)
      deps.log.warn(
        { provider: provider.name, requestId: callback.requestId, reason: reasonOf(thrown.cause) },
        'a sign-in failed',
      );
    throw thrown;
  }
}

/** Code and message of the library's error: neither holds a token. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown';
  const code = 'code' in cause ? `${String(cause.code)}: ` : '';
  return `${code}${cause.message}`.slice(0, 300);
}

/** The provider knows whom the facility has let go: told here, where the person reads it, and not by a page that sends them back. */
async function checkWelcome(
  deps: FinishDeps,
  of: { readonly token: string; readonly bearer: string; readonly callback: Callback },
): Promise<void> {
  const { newBrowser, address } = of.callback;
  try {
    await deps.verifier.verify(of.bearer, { browser: digestOf(newBrowser), address });
  } catch (thrown) {
    await revokeToken(deps, systemCaller('sign-in'), of.token);
    if (thrown instanceof Problem && thrown.status < 500) throw new Problem('sign-in-failed', thrown.message);
    throw thrown;
  }
}

/** A session that nobody recorded is none. */
async function recordSignIn(
  deps: FinishDeps,
  of: { readonly token: string; readonly person: Person; readonly provider: Provider; readonly callback: Callback },
): Promise<void> {
  const { token, person, provider, callback } = of;
  try {
    await deps.audit.append({
      at: new Date(deps.clock.now()),
      requestId: callback.requestId,
      phase: 'event',
      callerKind: 'session',
      callerId: token,
      subject: person.subject,
      project: null,
      action: 'sign-in.done',
      resource: `session/${token}`,
      status: null,
      detail: {
        provider: provider.name,
        methods: person.methods,
        roles: person.roles,
        factorAt: person.factorAt?.toISOString() ?? null,
        from: callback.address,
      },
    });
  } catch (cause) {
    await revokeToken(deps, systemCaller('sign-in'), token);
    throw new Problem('unavailable', 'The audit log cannot be written, so nobody signs in.', {
      cause,
      retryAfterSeconds: 1,
    });
  }
}
