/**
 * Signing in where there is no browser (RFC 8628): the command line gets a long device code and a short user code; a signed-in person confirms
 * the short one on our page; then the long one is answered with a session, once. Both are stored as digests.
 */
import { randomInt } from 'node:crypto';
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../clock.ts';
import { type Queries, transaction } from '../../database/index.ts';
import { randomText } from '../../id.ts';
import { Problem } from '../../problems.ts';
import { type SessionCaller, systemCaller } from '../caller.ts';
import { type IssuedToken, issueSession } from '../issue-token.ts';
import { revokeToken } from '../revoke-token.ts';
import { holdToken } from '../store.ts';
import { type Token, tokenState } from '../token.ts';
import type { TokenVerifier } from '../verify-token.ts';
import { digestOf } from './begin-login.ts';
import {
  type DeviceLogin,
  decideDeviceLogin,
  holdDeviceLogin,
  insertDeviceLogin,
  markPolled,
  type PolledLogin,
  pendingDeviceLogin,
} from './device-login-store.ts';
import { insertSignIn } from './login-store.ts';
import type { SignInSettings } from './sign-in-settings.ts';

export interface DeviceDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly verifier: Pick<TokenVerifier, 'refresh'>;
  readonly sessions: SignInSettings['sessions'];
}

/** RFC 8628 section 6.1: consonants, no word and no digit to mistake; 20^8 codes, of which few live at a time. */
const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ';
const USER_CHARACTERS = 8;
const DEVICE_CHARACTERS = 52;
const HOLDS_SECONDS = 600;
const INTERVAL_SECONDS = 5;
/** Section 3.5: how much longer to wait after each `slow_down`. */
const SLOWER_SECONDS = 5;
/** Poll timers and networks jitter. */
const EARLY_MS = 500;

export interface DeviceCodes {
  readonly deviceCode: string;
  /** `XXXX-XXXX` */
  readonly userCode: string;
  readonly expiresInSeconds: number;
  readonly intervalSeconds: number;
}

export async function startDeviceLogin(
  deps: Pick<DeviceDeps, 'db' | 'clock'>,
  wish: { readonly address: string; readonly stepUp: boolean },
): Promise<DeviceCodes> {
  const deviceCode = randomText(DEVICE_CHARACTERS);
  const letters = Array.from({ length: USER_CHARACTERS }, () => ALPHABET[randomInt(ALPHABET.length)] ?? '').join('');
  const now = deps.clock.now();
  await insertDeviceLogin(deps.db, {
    device: digestOf(deviceCode),
    userCode: digestOf(letters),
    address: wish.address,
    stepUp: wish.stepUp,
    intervalSeconds: INTERVAL_SECONDS,
    createdAt: new Date(now),
    expiresAt: new Date(now + HOLDS_SECONDS * 1000),
  });
  return {
    deviceCode,
    userCode: shownUserCode(letters),
    expiresInSeconds: HOLDS_SECONDS,
    intervalSeconds: INTERVAL_SECONDS,
  };
}

/** What a person typed, as eight letters; undefined where it cannot be a code. Case, spaces and hyphens do not matter. */
export function readUserCode(text: string): string | undefined {
  const letters = text.toUpperCase().replaceAll(/[\s.‐-―-]/g, '');
  return new RegExp(`^[${ALPHABET}]{${USER_CHARACTERS}}$`).test(letters) ? letters : undefined;
}

export function shownUserCode(letters: string): string {
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** The sign-in that waits under this code, or undefined. */
export async function waitingDeviceLogin(
  deps: Pick<DeviceDeps, 'db' | 'clock'>,
  letters: string,
): Promise<DeviceLogin | undefined> {
  return pendingDeviceLogin(deps.db, digestOf(letters), new Date(deps.clock.now()));
}

/** Whether this session's second factor is from after the command line asked for one. */
export function factorIsFresh(session: SessionCaller, login: DeviceLogin): boolean {
  return session.assurance.factorAt !== null && session.assurance.factorAt >= login.createdAt.getTime();
}

/** The person's word on it. Throws `login-expired` where it waits no longer, `refused` where the factor that was asked for is missing. */
export async function decideDevice(
  deps: Pick<DeviceDeps, 'db' | 'clock'>,
  session: SessionCaller,
  decision: { readonly letters: string; readonly approve: boolean },
): Promise<void> {
  const login = await waitingDeviceLogin(deps, decision.letters);
  if (login === undefined) throw new Problem('login-expired', 'No sign-in waits under this code.');
  if (decision.approve && login.stepUp && !factorIsFresh(session, login))
    throw new Problem('refused', 'The command line asked for a second factor shown just now.');
  const decided = await decideDeviceLogin(deps.db, digestOf(decision.letters), {
    state: decision.approve ? 'approved' : 'denied',
    by: session.id,
    at: new Date(deps.clock.now()),
  });
  if (!decided) throw new Problem('login-expired', 'This code was answered already.');
}

type Outcome =
  | { readonly kind: 'pending' | 'slow-down' | 'denied' | 'expired' }
  | { readonly kind: 'issued'; readonly issued: IssuedToken; readonly approvedBy: string; readonly address: string };

/** Throws `authorization-pending`, `slow-down`, `login-denied`, `login-expired`. */
export async function pollDeviceLogin(
  deps: DeviceDeps,
  poll: { readonly deviceCode: string; readonly agent: string; readonly requestId: string },
): Promise<IssuedToken> {
  const outcome = await transaction(deps.db, async (trx): Promise<Outcome> => {
    const device = digestOf(poll.deviceCode);
    const now = deps.clock.now();
    const login = await holdDeviceLogin(trx, device);
    if (login === undefined || login.state === 'used' || now >= login.expiresAt.getTime()) return { kind: 'expired' };
    if (login.state === 'denied') return { kind: 'denied' };
    const { intervalSeconds, polledAt } = login;
    const marked = { at: new Date(now), intervalSeconds };
    if (login.state === 'pending') {
      const early = polledAt !== null && now - polledAt.getTime() < intervalSeconds * 1000 - EARLY_MS;
      const next = early ? intervalSeconds + SLOWER_SECONDS : intervalSeconds;
      await markPolled(trx, device, { ...marked, intervalSeconds: next, state: 'pending' });
      return { kind: early ? 'slow-down' : 'pending' };
    }
    const approver = await holdToken(trx, login.decidedBy);
    // Whoever signed out in the meantime, or was locked out, gives nothing any more.
    if (approver === undefined || tokenState(approver, now) !== 'active') return { kind: 'denied' };
    const issued = await issueSession(
      { db: trx, clock: deps.clock },
      {
        // Of the session's own row: what its person holds by membership is found anew for each request.
        subject: approver.subject,
        roles: approver.roles,
        lifetimeSeconds: Math.round(deps.sessions.commandLineHours * 3600),
        by: approver.id,
        ...assuranceFor(login, approver),
      },
    );
    await insertSignIn(trx, {
      token: issued.token.id,
      provider: 'command line',
      address: login.address,
      agent: poll.agent,
      idleSeconds: null,
      at: new Date(now),
    });
    await markPolled(trx, device, { ...marked, state: 'used' });
    return { kind: 'issued', issued, approvedBy: login.decidedBy, address: login.address };
  });
  switch (outcome.kind) {
    case 'pending':
      throw new Problem('authorization-pending', 'Nobody has confirmed this code yet.');
    case 'slow-down':
      throw new Problem('slow-down', 'This code is asked for too often.');
    case 'denied':
      throw new Problem('login-denied', 'The person did not confirm this code.');
    case 'expired':
      throw new Problem('login-expired', 'This code is not known, is used up or has expired.');
    case 'issued':
      await recordIssue(deps, { ...outcome, requestId: poll.requestId });
      return outcome.issued;
  }
}

/** What a second factor leaves in a session's methods. */
const FACTOR_METHODS: ReadonlySet<string> = new Set(['totp', 'webauthn', 'recovery-code', 'oidc-factor']);

/** A command line that did not ask for a second factor is not given one: the page that was confirmed did not speak of it. */
function assuranceFor(
  login: PolledLogin,
  approver: Pick<Token, 'methods' | 'factorAt'>,
): { readonly methods: readonly string[]; readonly factorAt?: Date } {
  if (!login.stepUp) return { methods: approver.methods.filter((m) => !FACTOR_METHODS.has(m)) };
  return { methods: approver.methods, ...(approver.factorAt === null ? {} : { factorAt: approver.factorAt }) };
}

/** A session that nobody recorded is none. */
async function recordIssue(
  deps: DeviceDeps,
  of: {
    readonly issued: IssuedToken;
    readonly approvedBy: string;
    readonly address: string;
    readonly requestId: string;
  },
): Promise<void> {
  const { token } = of.issued;
  try {
    await deps.audit.append({
      at: new Date(deps.clock.now()),
      requestId: of.requestId,
      phase: 'event',
      callerKind: 'session',
      callerId: token.id,
      subject: token.subject,
      project: null,
      action: 'login.issued',
      resource: `session/${token.id}`,
      status: null,
      detail: { approvedBy: of.approvedBy, methods: token.methods, roles: token.roles, from: of.address },
    });
  } catch (cause) {
    await revokeToken(deps, systemCaller('sign-in'), token.id);
    throw new Problem('unavailable', 'The audit log cannot be written, so nobody signs in.', {
      cause,
      retryAfterSeconds: 1,
    });
  }
}
