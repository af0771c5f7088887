/**
 * RFC 8693: a subject token in, a project access token out. Of another facility's person (a JWT that the trust table believes, once each) a token that the table
 * bounds; of a project access token of ours a narrower child. Every exchange and every refusal is recorded with issuer and subject, never with the token.
 */
import type { AuditLog } from '../../audit/index.ts';
import { transaction } from '../../database/index.ts';
import { asProblem, Problem } from '../../problems.ts';
import { type Caller, systemCaller, type TokenCaller } from '../caller.ts';
import { delegateToken } from '../delegate-token.ts';
import { type IssueDeps, type IssuedToken, type IssueTokenInput, issueToken } from '../issue-token.ts';
import { tokenById } from '../store.ts';
import type { Token } from '../token.ts';
import { chooseGrant, type ExchangeWish, personOf } from './choose-grant.ts';
import { takeSubjectToken } from './exchange-store.ts';
import type { ForeignIdentity } from './foreign-identity.ts';
import { asIdentity, type ClaimedIdentity, claimed, NOBODY, RefusedIdentity } from './refused-identity.ts';
import { type VerifyDeps, verifySubjectToken } from './verify-subject-token.ts';

const DEFAULT_CHILD_SECONDS = 3600;

/** What policy said, and what the audit log is to keep of it. */
export interface Ruling {
  readonly asked: Readonly<Record<string, unknown>>;
  readonly refusal?: Problem;
}

/** Left out: the parent's. */
export type ChildWish = Pick<ExchangeWish, 'environments' | 'scopes'>;

export interface ExchangeDeps extends IssueDeps, VerifyDeps {
  readonly audit: AuditLog;
  /** Our own name: what a project access token of ours is recorded under. */
  readonly issuerName: () => string;
  /** Throws `token-*`. */
  readonly bearer: (text: string, address: string) => Promise<Caller>;
  /** Whether this token may have this child. Where it may, a use of it is spent and its limits are drawn on: throws `rate-limited`, `token-*`. */
  readonly permitDelegation: (caller: TokenCaller, wish: ChildWish) => Promise<Ruling>;
  /** Whether another issuer's person may have this token. */
  readonly permitExchange: (who: ForeignIdentity, wish: IssueTokenInput) => Ruling;
  readonly log: { error(fields: object, text: string): void };
}

export interface ExchangeInput extends ExchangeWish {
  readonly subjectToken: string;
  /** `ours`: a project access token of this facility. */
  readonly kind: 'ours' | 'jwt';
  readonly address: string;
  readonly requestId: string;
}

/**
 * Throws `identity-refused`, `target-refused`, `scope-refused`, `invalid-request`, `refused` (policy, lockdown), `token-*` for a bearer of ours,
 * `rate-limited`, `unavailable`. What is thrown is recorded; where that fails, it is logged.
 */
export async function exchangeToken(deps: ExchangeDeps, input: ExchangeInput): Promise<IssuedToken> {
  try {
    return input.kind === 'ours' ? await exchangeOwn(deps, input) : await exchangeForeign(deps, input);
  } catch (thrown) {
    await recordRefusal(deps, input, thrown).catch((cause: unknown) =>
      deps.log.error({ requestId: input.requestId, err: cause }, 'a refused exchange could not be recorded'),
    );
    throw thrown;
  }
}

async function exchangeOwn(deps: ExchangeDeps, input: ExchangeInput): Promise<IssuedToken> {
  const caller = await deps.bearer(input.subjectToken, input.address);
  const identity = claimed(deps.issuerName(), caller.subject, true);
  return asIdentity(identity, async () => {
    if (caller.kind !== 'token')
      throw new Problem('identity-refused', 'Of our own bearers only a project access token is exchanged.');
    const asked = heed(await deps.permitDelegation(caller, input), identity);
    if (input.project !== undefined && input.project !== caller.project)
      throw new Problem('target-refused', `The subject token is for project ${caller.project}.`);
    const token = await tokenById(deps.db, caller.id);
    if (token === undefined) throw new Problem('token-unknown', 'This bearer is not known at this facility.');
    const restSeconds = Math.floor((token.expiresAt.getTime() - deps.clock.now()) / 1000);
    const parent = { parent: token.id };
    // Before it is there: what a delegation makes is a child of this token, whatever happens to the second record.
    await recordEvent(deps, input, { action: 'token.exchange', token, by: caller, detail: { ...parent, ...asked } });
    const issued = await delegateToken(deps, caller, {
      scopes: input.scopes ?? caller.scopes,
      environments: input.environments,
      lifetimeSeconds: input.lifetimeSeconds ?? Math.max(1, Math.min(DEFAULT_CHILD_SECONDS, restSeconds - 1)),
      description: 'token exchange',
    });
    await recordEvent(deps, input, { action: 'token.exchanged', token: issued.token, by: caller, detail: parent });
    return issued;
  });
}

async function exchangeForeign(deps: ExchangeDeps, input: ExchangeInput): Promise<IssuedToken> {
  const { issuer, claims, identity, replayKey, endsAt } = await verifySubjectToken(deps, input.subjectToken);
  return asIdentity(identity, async () => {
    const person = personOf(issuer, claims);
    if (person === undefined)
      throw new Problem(
        'identity-refused',
        `The claim ${issuer.person.claim} names nobody in a way that can be used here.`,
      );
    const { grant, ...bounds } = chooseGrant(issuer, claims, input);
    const wish: IssueTokenInput = {
      ...bounds,
      project: grant.project,
      subject: person,
      description: `token exchange, ${issuer.title ?? issuer.name}`,
      classification: grant.classification,
      sources: grant.sources,
      ...(grant.purpose === undefined ? {} : { purpose: grant.purpose }),
    };
    const who: ForeignIdentity = { kind: 'foreign', id: person, issuer: issuer.name, subject: person };
    const asked = heed(deps.permitExchange(who, wish), identity);
    const by = systemCaller(`issuer:${issuer.name}`);
    return transaction(deps.db, async (trx) => {
      if (!(await takeSubjectToken(trx, replayKey, endsAt)))
        throw new Problem('identity-refused', 'The subject token was exchanged before; each is taken once.');
      const issued = await issueToken({ ...deps, db: trx }, by, wish);
      // On the log's own connection, before the commit: a token that nobody recorded is never there.
      const detail = { issuer: identity.issuer, named: identity.subject, ...asked };
      await recordEvent(deps, input, { action: 'token.exchanged', token: issued.token, by, detail });
      return issued;
    });
  });
}

/** Gives what is to be recorded of an allowance; throws the refusal. */
function heed({ asked, refusal }: Ruling, identity: ClaimedIdentity): Ruling['asked'] {
  if (refusal === undefined) return asked;
  throw new RefusedIdentity(refusal.code, refusal.message, { ...refusal.extras, identity, asked });
}

async function recordEvent(
  deps: ExchangeDeps,
  input: ExchangeInput,
  of: {
    readonly action: 'token.exchange' | 'token.exchanged';
    readonly token: Token;
    readonly by: Caller;
    readonly detail: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  const { action, token, by, detail } = of;
  await deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: input.requestId,
    phase: 'event',
    callerKind: by.kind,
    callerId: by.id,
    subject: token.subject,
    project: token.project,
    action,
    resource: `token/${token.id}`,
    status: null,
    detail: {
      ...detail,
      environments: token.environments,
      scopes: token.scopes,
      expiresAt: token.expiresAt.toISOString(),
      from: input.address,
    },
  });
}

async function recordRefusal(deps: ExchangeDeps, input: ExchangeInput, thrown: unknown): Promise<void> {
  const problem = asProblem(thrown);
  const { issuer, subject, verified } = thrown instanceof RefusedIdentity ? thrown.identity : NOBODY;
  const asked = thrown instanceof RefusedIdentity ? thrown.asked : {};
  const { rules } = problem.extras;
  await deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: input.requestId,
    phase: 'event',
    callerKind: 'anonymous',
    callerId: 'anonymous',
    subject,
    project: null,
    action: 'token.exchange-refused',
    resource: '',
    status: problem.status,
    detail: {
      code: problem.code,
      reason: problem.message,
      ...(rules === undefined ? {} : { rules }),
      ...asked,
      issuer,
      verified,
      kind: input.kind,
      from: input.address,
    },
  });
}
