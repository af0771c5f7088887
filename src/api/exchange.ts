/**
 * One request on its way through the pipeline: what each step has found out so far. Made by http-server, filled by the
 * steps in their order, answered by exactly one of them. The only mutable thing a request has.
 */

import { newId } from '../id.ts';
import { ANONYMOUS, type Caller } from '../identity/index.ts';
import type { PolicyResource, RecordedQuestion, Slot } from '../policy/index.ts';
import type { Operation } from './contract/index.ts';
import type { AppliedLimit } from './limit-headers.ts';
import type { Route } from './route.ts';

export interface Answered {
  readonly status: number;
  readonly body: unknown;
  /** True where an earlier request with the same Idempotency-Key gave this answer. */
  readonly replayed?: boolean;
}

/** The thing a request is about, found before policy decides on it. */
export interface Located {
  readonly resource: PolicyResource;
  /** For the audit log, for example `job/job_…`. */
  readonly label: string;
  /** What was read on the way, so that the handler need not read it again. */
  readonly row?: unknown;
}

export interface Exchange {
  readonly operation: Operation;
  readonly route: Route;
  readonly requestId: string;
  readonly remoteAddress: string;
  readonly authorization: string | undefined;
  readonly idempotencyHeader: string | undefined;
  /** Of a client that goes on with a stream of events. */
  readonly lastEventId: string | undefined;
  /** Aborted when the client goes away or the replica drains. */
  readonly signal: AbortSignal;
  readonly raw: { params: unknown; query: unknown; body: unknown };
  caller: Caller;
  params: Record<string, unknown>;
  query: Record<string, unknown>;
  body: unknown;
  located: Located;
  idempotencyKey: string | undefined;
  /** The row that remembers this request's answer, where it holds a key. */
  idempotencyClaim: string | undefined;
  intentRecorded: boolean;
  /** Policy said no, whatever the answer's status. */
  denied: boolean;
  /** The caller's token may not be used from there. */
  wrongSource: boolean;
  /** The token was asked for something else than what it is used for. */
  outsidePurpose: boolean;
  /** What policy was asked, where the log is to keep it: of mutations and of denials. */
  question: RecordedQuestion | undefined;
  /** The rules that said no, for the audit log; the answer may keep them from a stranger. */
  rules: unknown;
  /** The limits that the request is under, for the headers. */
  readonly limited: AppliedLimit[];
  /** Among the requests in flight; given back by http-server, whatever happens. */
  slot: Slot | undefined;
  /** Asks whether what was allowed still is. Throws the Problem where it is not. For what goes on after the answer. */
  standing: () => Promise<void>;
  /** The answer went out, or the client away. */
  gone: boolean;
  answer: Answered | undefined;
  retryAfterSeconds: number | undefined;
}

export interface RequestFacts {
  readonly operation: Operation;
  readonly route: Route;
  readonly remoteAddress: string;
  readonly authorization: string | undefined;
  readonly idempotencyHeader: string | undefined;
  /** Of a client that goes on with a stream of events. */
  readonly lastEventId: string | undefined;
  readonly signal: AbortSignal;
}

export function newExchange(facts: RequestFacts): Exchange {
  return {
    ...facts,
    requestId: newId('req'),
    raw: { params: {}, query: {}, body: undefined },
    caller: ANONYMOUS,
    params: {},
    query: {},
    body: undefined,
    located: { resource: {}, label: '' },
    idempotencyKey: undefined,
    idempotencyClaim: undefined,
    intentRecorded: false,
    denied: false,
    wrongSource: false,
    outsidePurpose: false,
    question: undefined,
    rules: undefined,
    limited: [],
    slot: undefined,
    standing: async () => undefined,
    gone: false,
    answer: undefined,
    retryAfterSeconds: undefined,
  };
}
