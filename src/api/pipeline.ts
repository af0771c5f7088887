/**
 * What happens to every request, in order. This is the one place to read it. The first steps run before the body is read, so that
 * nobody unknown or too fast can make us read one. `record the outcome` always runs, denials included.
 */
import { type AuditLog, redact } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { type Caller, type TokenUse, type TokenVerifier, WrongSource } from '../identity/index.ts';
import { type Action, type Circumstances, isAction, type Policy, refusalOf } from '../policy/index.ts';
import { asProblem, Problem, problemDocument } from '../problems.ts';
import type { DenialTally } from './denial-tally.ts';
import type { Answered, Exchange } from './exchange.ts';
import { abandonClaim, claimKey, completeClaim, requestDigest } from './idempotency-store.ts';
import type { RequestLimits } from './limits.ts';
import { validateParts } from './validate.ts';

export interface PipelineDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly verifier: TokenVerifier;
  readonly tokenUse: TokenUse;
  readonly policy: Policy;
  readonly audit: AuditLog;
  readonly limits: RequestLimits;
  readonly denials: DenialTally;
  /** Is this what the caller's token was asked for? Default: it is. */
  readonly withinPurpose?: (caller: Caller, action: Action) => boolean;
  readonly log: { error(fields: object, text: string): void; warn(fields: object, text: string): void };
}

interface Step {
  readonly name: string;
  readonly run: (deps: PipelineDeps, exchange: Exchange) => void | Promise<void>;
}

const BEFORE_THE_BODY: readonly Step[] = [
  { name: 'limit by address', run: (deps, x) => deps.limits.address(x.remoteAddress, x.limited) },
  { name: 'authenticate', run: authenticate },
  { name: 'limit by token and project', run: (deps, x) => deps.limits.caller(x) },
  { name: 'take a slot', run: takeSlot },
];

const WITH_THE_BODY: readonly Step[] = [
  { name: 'validate', run: (_deps, x) => validateParts(x) },
  { name: 'locate and authorize', run: locateAndAuthorize },
  { name: 'limit by environment', run: (deps, x) => deps.limits.located(x, x.located.resource) },
  { name: 'claim the idempotency key', run: claimIdempotencyKey },
  // After the claim: an answer that is given again costs no use.
  { name: 'spend a use of the token', run: (deps, x) => deps.tokenUse.spend(x.caller, x.operation.action) },
  { name: 'flag use outside its purpose', run: flagPurpose },
  { name: 'record the intent', run: recordIntent },
  { name: 'handle', run: handle },
  { name: 'remember the answer', run: rememberAnswer },
];

const ALWAYS: Step = { name: 'record the outcome', run: recordOutcome };

/** The steps' names in order, for docs and tests. */
export const PIPELINE: readonly string[] = [...BEFORE_THE_BODY, ...WITH_THE_BODY, ALWAYS].map((s) => s.name);

/** Throws the Problem that stops the request; http-server hands it to `fail`. */
export async function beforeBody(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  for (const step of BEFORE_THE_BODY) await step.run(deps, exchange);
}

/** Runs the rest. Never throws: a failure becomes the answer. */
export async function withBody(deps: PipelineDeps, exchange: Exchange): Promise<Answered> {
  try {
    for (const step of WITH_THE_BODY) {
      await step.run(deps, exchange);
      if (exchange.answer !== undefined && step.name !== 'handle') break;
    }
    await ALWAYS.run(deps, exchange);
    if (exchange.answer === undefined) throw new Error('no step answered');
    return exchange.answer;
  } catch (thrown) {
    return fail(deps, exchange, thrown);
  }
}

/** Turns what was thrown into the answer and records it. Never throws. */
export async function fail(deps: PipelineDeps, exchange: Exchange, thrown: unknown): Promise<Answered> {
  const problem = asProblem(thrown);
  if (problem.status >= 500)
    deps.log.error(
      { requestId: exchange.requestId, operation: exchange.operation.id, err: problem.cause ?? problem },
      problem.message,
    );
  exchange.retryAfterSeconds = problem.extras.retryAfterSeconds;
  exchange.rules = problem.extras.rules ?? (exchange.denied ? problem.cause : undefined);
  exchange.answer = { status: problem.status, body: problemDocument(problem, exchange.requestId) };
  try {
    if (exchange.idempotencyClaim !== undefined) await abandonClaim(deps.db, exchange.idempotencyClaim);
    await recordOutcome(deps, exchange);
  } catch (cause) {
    deps.log.error(
      { requestId: exchange.requestId, err: cause },
      'the outcome of a refused or failed request could not be recorded',
    );
  }
  return exchange.answer;
}

/** Is what was allowed when the request came still so? For answers that go on for long. Throws the Problem that ends them. */
export async function checkStanding(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  const { operation, located, remoteAddress, authorization = '' } = exchange;
  const caller = await deps.verifier.verify(bearerOf(authorization), { address: remoteAddress });
  const { action } = operation;
  if (!isAction(action)) return;
  const question = { caller, action, resource: located.resource, circumstances: circumstancesOf(deps, caller, action) };
  const decision = deps.policy.decide(question);
  if (!decision.allowed) throw refusalOf(question, decision);
}

/** `Authorization: <token>` without a scheme is what S3M's clients send; both are read. */
const bearerOf = (header: string): string => header.replace(/^bearer +/i, '');

async function authenticate(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  if (exchange.operation.action === 'none') return;
  const header = exchange.authorization;
  if (header === undefined || header === '') throw new Problem('token-missing', 'This operation needs a bearer.');
  const address = exchange.remoteAddress;
  try {
    exchange.caller = await deps.verifier.verify(bearerOf(header), { address });
  } catch (thrown) {
    if (!(thrown instanceof WrongSource)) throw thrown;
    // Known, but not from there: the denial is that token's.
    exchange.caller = thrown.caller;
    exchange.wrongSource = true;
    deps.limits.wrongSource(exchange);
    throw thrown;
  }
}

/** Among the requests in flight. http-server gives it back once the request is answered or its client gone. */
async function takeSlot(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  const isHeld = exchange.gone ? false : await enterSlot(deps, exchange);
  if (isHeld) return;
  throw new Problem('too-many-in-flight', 'This replica has no slot for one more request.', { retryAfterSeconds: 1 });
}

function enterSlot(deps: PipelineDeps, exchange: Exchange): boolean | Promise<boolean> {
  exchange.slot = deps.limits.slot(exchange);
  return exchange.slot?.ready ?? true;
}

async function locateAndAuthorize(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  if (exchange.operation.action === 'none') return;
  if (exchange.route.locate !== undefined) exchange.located = await exchange.route.locate(exchange);
  const { caller, operation, located } = exchange;
  const { action } = operation;
  if (!isAction(action)) throw new Error(`operation ${operation.id} has the unknown action ${action}`);
  const circumstances = circumstancesOf(deps, caller, action);
  const question = { caller, action, resource: located.resource, circumstances };
  const decision = deps.policy.decide(question);
  if (operation.audit === 'mutation' || !decision.allowed) exchange.question = deps.policy.record(question, decision);
  if (decision.allowed) return;
  exchange.denied = true;
  throw refusalOf(question, decision);
}

function circumstancesOf(deps: PipelineDeps, caller: Caller, action: Action): Circumstances {
  return {
    now: deps.clock.now(),
    lockdown: deps.verifier.lockedDown(),
    withinPurpose: deps.withinPurpose?.(caller, action) ?? true,
  };
}

async function claimIdempotencyKey(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  const key = exchange.idempotencyKey;
  if (key === undefined) return;
  const owner = exchange.located.resource.project ?? `caller:${exchange.caller.id}`;
  const claim = JSON.stringify([owner, exchange.operation.id, key]);
  // What the caller's token fills in is a part of the request: the same body may mean another environment.
  const { environment = null } = exchange.located.resource;
  const digest = requestDigest([environment, exchange.params, exchange.query, exchange.body]);
  const found = await claimKey(deps.db, claim, { digest, at: new Date(deps.clock.now()) });
  switch (found.kind) {
    case 'claimed':
      exchange.idempotencyClaim = claim;
      return;
    case 'answered':
      if (exchange.operation.shownOnce)
        throw new Problem('shown-once', 'This Idempotency-Key was used, and what it made is shown once only.');
      exchange.answer = { status: found.status, body: found.body, replayed: true };
      return;
    case 'in-progress':
      throw new Problem('idempotency-in-progress', 'A request with this Idempotency-Key is being carried out.', {
        retryAfterSeconds: 1,
      });
    case 'other-request':
      throw new Problem('idempotency-key-reused', 'This Idempotency-Key was used with another body, path or query.');
  }
}

function flagPurpose(deps: PipelineDeps, exchange: Exchange): void {
  exchange.outsidePurpose = deps.tokenUse.flag(exchange.caller, exchange.operation.action);
}

async function recordIntent(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  if (exchange.operation.audit !== 'mutation') return;
  try {
    await deps.audit.append(entryOf(deps, exchange, 'intent', null));
    exchange.intentRecorded = true;
  } catch (cause) {
    throw new Problem('unavailable', 'The audit log cannot be written, so nothing was done.', {
      cause,
      retryAfterSeconds: 1,
    });
  }
}

async function handle(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  exchange.standing = () => checkStanding(deps, exchange);
  const body = await exchange.route.handle(exchange);
  exchange.answer = { status: exchange.operation.success, body };
}

async function rememberAnswer(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  if (exchange.idempotencyClaim === undefined || exchange.answer === undefined) return;
  const body = exchange.operation.shownOnce ? null : exchange.answer.body;
  await completeClaim(deps.db, exchange.idempotencyClaim, { status: exchange.answer.status, body });
  exchange.idempotencyClaim = undefined;
}

async function recordOutcome(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  const status = exchange.answer?.status ?? 500;
  const denied = status === 401 || status === 403 || exchange.denied || exchange.wrongSource;
  if (denied && isCounted(deps, exchange, status)) {
    const { operation, remoteAddress: address, caller } = exchange;
    deps.denials.count({ operation: operation.id, address, status, caller });
    return;
  }
  if (denied) return deps.audit.append(entryOf(deps, exchange, 'denied', status));
  if (!exchange.intentRecorded) return;
  await deps.audit.append(entryOf(deps, exchange, 'outcome', status));
}

/** Rather than recorded by itself: what anybody can cause at will, without a bearer or with one that he may not use from there. */
function isCounted(deps: PipelineDeps, { caller, wrongSource }: Exchange, status: number): boolean {
  if (caller.kind === 'anonymous') return true;
  return wrongSource && (status !== 403 || !deps.denials.mayRecord(caller.id));
}

function entryOf(
  deps: PipelineDeps,
  exchange: Exchange,
  phase: 'intent' | 'outcome' | 'denied',
  status: number | null,
) {
  const { caller, operation, located } = exchange;
  const answer = exchange.answer?.body;
  const made =
    phase === 'outcome' && typeof answer === 'object' && answer !== null && 'id' in answer ? String(answer.id) : '';
  const code =
    phase !== 'intent' && typeof answer === 'object' && answer !== null && 'code' in answer
      ? { code: answer.code }
      : {};
  // What a stranger is told does not exist was denied all the same: the log names the rules.
  const rules = exchange.rules === undefined ? {} : { rules: exchange.rules };
  // The intent of what was allowed, and the denial of what was not: an outcome would say the same again.
  const isAnswer = phase === 'intent' || (phase === 'denied' && exchange.denied);
  const question = isAnswer && exchange.question !== undefined ? { question: exchange.question } : {};
  return {
    at: new Date(deps.clock.now()),
    requestId: exchange.requestId,
    phase,
    callerKind: caller.kind,
    callerId: caller.id,
    subject: caller.subject,
    project: located.resource.project ?? (caller.kind === 'token' ? caller.project : null),
    action: operation.id,
    resource: located.label || made,
    status,
    detail: {
      ...(phase === 'outcome' ? {} : { request: redact(exchange.body, operation.auditFields) }),
      ...code,
      ...rules,
      ...question,
      ...(exchange.outsidePurpose ? { outsidePurpose: true } : {}),
      from: exchange.remoteAddress,
    },
  };
}
