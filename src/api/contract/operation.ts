/**
 * An operation declared as data: method, path, schemas, the action policy decides on, how it is audited and limited. Routes,
 * OpenAPI, the command line's SDK and the every-operation tests are all read off these declarations.
 */
import { z } from 'zod';

export interface Operation {
  /** Stable name, `noun.verb`; the OpenAPI operationId. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `{param}` for path parameters. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  readonly body: z.ZodType | undefined;
  readonly success: 200 | 201 | 202;
  readonly response: z.ZodType;
  /** What policy decides on; `none` is open to everybody. */
  readonly action: string;
  /** A mutation is recorded before and after; a read only when it is denied. */
  readonly audit: 'mutation' | 'read';
  /** Body fields that may stand in the audit log; all others are kept as their type alone. */
  readonly auditFields: readonly string[];
  /** May carry an Idempotency-Key. */
  readonly idempotent: boolean;
  /** The answer holds a secret that is shown once: a repetition is refused in place of replayed. */
  readonly shownOnce: boolean;
  /** Keeps the request open up to some seconds; never counted as slow. */
  readonly longPoll: boolean;
  /** Answers with Server-Sent Events (WHATWG HTML, section 9.2) in place of one document; `response` is then the events. */
  readonly events: boolean;
  /** The body comes as application/x-www-form-urlencoded, each key once, all values text; otherwise as JSON. */
  readonly form: boolean;
  /** How failures are told: RFC 9457 problems, or `{error, error_description}` of OAuth 2.0 (then no answer is ever kept by a cache). */
  readonly native: 'problem' | 'oauth';
  /** The answer is text of this media type in place of JSON; empty: it is JSON. */
  readonly text: string;
  /** Anybody may keep the answer for so long; 0: nothing is said. */
  readonly cacheSeconds: number;
  /** Which buckets of facility/limits.yaml it draws on; absent: see `limitClassOf`. */
  readonly limitClass?: LimitClass;
}

export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
  /** From here Last-Event-ID goes on. */
  readonly id?: string;
}

/** `mint` makes bearers, `stream` makes or changes streams and their credentials, `submit` makes jobs and runs. */
export type LimitClass = 'read' | 'mutation' | 'mint' | 'stream' | 'submit' | 'long-poll';

export function limitClassOf(of: Pick<Operation, 'limitClass' | 'longPoll' | 'audit'>): LimitClass {
  if (of.limitClass !== undefined) return of.limitClass;
  if (of.longPoll) return 'long-poll';
  return of.audit === 'mutation' ? 'mutation' : 'read';
}

const DEFAULTS = {
  params: z.strictObject({}),
  query: z.strictObject({}),
  body: undefined,
  success: 200,
  audit: 'read',
  auditFields: [],
  idempotent: false,
  shownOnce: false,
  longPoll: false,
  events: false,
  form: false,
  native: 'problem',
  text: '',
  cacheSeconds: 0,
} as const;

type Given = Pick<Operation, 'id' | 'method' | 'path' | 'summary' | 'tag' | 'response' | 'action'> & Partial<Operation>;

/** Fills in what was left out; keeps the exact types of the schemas for the routes and the SDK. */
export function operation<const G extends Given>(given: G): Omit<typeof DEFAULTS, keyof G> & G {
  return { ...DEFAULTS, ...given };
}

/** Input as a handler sees it (after parsing), answer as it must give it. */
export type Params<O extends Operation> = z.output<O['params']>;
export type Query<O extends Operation> = z.output<O['query']>;
export type Body<O extends Operation> = O['body'] extends z.ZodType ? z.output<O['body']> : undefined;
export type Answer<O extends Operation> = z.input<O['response']>;
/** What a client sends. */
export type BodyInput<O extends Operation> = O['body'] extends z.ZodType ? z.input<O['body']> : undefined;
export type QueryInput<O extends Operation> = z.input<O['query']>;
