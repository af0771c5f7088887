/**
 * A route: how an operation finds what it is about, and the use case it calls. Handlers hold no decision of their own. `handle`
 * gets exactly what the operation's schemas describe and must give exactly what its response describes.
 */
import type { Caller } from '../identity/index.ts';
import type { Answer, Body, Operation, OperationId, Operations, Params, Query } from './contract/index.ts';
import type { Located } from './exchange.ts';

export interface Call<O extends Operation> {
  readonly caller: Caller;
  readonly params: Params<O>;
  readonly query: Query<O>;
  readonly body: Body<O>;
  readonly located: Located;
  readonly idempotencyKey: string | undefined;
  readonly requestId: string;
  readonly remoteAddress: string;
  /** Of a client that goes on with a stream of events, as it came. */
  readonly lastEventId: string | undefined;
  readonly signal: AbortSignal;
  /** Asks again whether this caller may do this here, for what goes on after the answer. Throws the Problem where not. */
  readonly standing: () => Promise<void>;
}

export interface RouteOf<O extends Operation> {
  /** Default: about nothing in particular. Throws `not-found` where there is no such thing. */
  readonly locate?: (call: Omit<Call<O>, 'located'>) => Located | Promise<Located>;
  readonly handle: (call: Call<O>) => Answer<O> | Promise<Answer<O>>;
}

/** Routes by operation id; a room's routes cover a part of the list, all together the whole. */
export type Routes = { readonly [I in OperationId]: RouteOf<Operations[I]> };

/** A route with its operation's types laid aside: what the pipeline runs after it has validated the parts. */
export interface Route {
  readonly locate?: (call: ErasedCall) => Located | Promise<Located>;
  readonly handle: (call: ErasedCall) => unknown;
}

export interface ErasedCall {
  readonly caller: Caller;
  readonly params: Record<string, unknown>;
  readonly query: Record<string, unknown>;
  readonly body: unknown;
  readonly located: Located;
  readonly idempotencyKey: string | undefined;
  readonly requestId: string;
  readonly remoteAddress: string;
  /** Of a client that goes on with a stream of events, as it came. */
  readonly lastEventId: string | undefined;
  readonly signal: AbortSignal;
  /** Asks again whether this caller may do this here, for what goes on after the answer. Throws the Problem where not. */
  readonly standing: () => Promise<void>;
}
