/**
 * The closed registry of problems (RFC 9457). A code is stable for ever; its title says what, its remedy says what
 * to do next. `detail` and `errors` are public; `cause` is for the log only and never leaves the process.
 * docs/reference/problems.md is generated from this file.
 */

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  readonly remedy: string;
}

export const PROBLEMS = {
  'invalid-request': {
    status: 400,
    title: 'The request is not valid',
    remedy: 'Correct every field listed in errors and send it again.',
  },
  'malformed-body': {
    status: 400,
    title: 'The body could not be read',
    remedy: 'Send one JSON document as application/json.',
  },
  'malformed-request': {
    status: 400,
    title: 'This is no HTTP request that can be read',
    remedy: 'Check the path and what stands between you and the facility.',
  },
  'token-missing': {
    status: 401,
    title: 'No credentials',
    remedy: 'Run `beamway login`, or name a token in BEAMWAY_TOKEN_FILE; over HTTP send Authorization: Bearer.',
  },
  'token-malformed': {
    status: 401,
    title: 'The token is malformed',
    remedy: 'Copy the whole token; its last six characters are a checksum.',
  },
  'token-unknown': {
    status: 401,
    title: 'The token is not known here',
    remedy: 'Mint a new token, or check that BEAMWAY_URL names the right facility.',
  },
  'token-expired': {
    status: 401,
    title: 'The token has expired',
    remedy: 'Mint a new token, or sign in again: `beamway login`.',
  },
  'token-not-yet-valid': {
    status: 401,
    title: 'The token is not valid yet',
    remedy: 'Wait for its start, or mint one that starts now.',
  },
  'token-revoked': {
    status: 401,
    title: 'The token was revoked',
    remedy: 'Mint a new token; ask a project lead if you did not revoke it.',
  },
  'ticket-refused': {
    status: 401,
    title: 'The ticket opens no WebSocket',
    remedy: 'Ask for a new one and use it at once: it holds for 30 s, once, at the replica that gave it.',
  },
  'identity-refused': {
    status: 400,
    title: 'The subject token is not believed here',
    remedy:
      'Get a fresh one for the audience that this facility names; ask the operators whether its issuer is trusted.',
  },
  'target-refused': {
    status: 400,
    title: 'No token for that project or environment',
    remedy: 'Name another audience (a project) or resource (environments); the description lists them.',
  },
  'scope-refused': {
    status: 400,
    title: 'No token with those scopes',
    remedy: 'Ask for fewer scopes; the description lists them.',
  },
  'unsupported-grant': {
    status: 400,
    title: 'That grant is not served here',
    remedy: 'Send grant_type=urn:ietf:params:oauth:grant-type:token-exchange.',
  },
  'authorization-pending': {
    status: 400,
    title: 'Nobody has confirmed this code yet',
    remedy: 'Ask again after the interval in seconds that the device code came with.',
  },
  'slow-down': {
    status: 400,
    title: 'You ask too often',
    remedy: 'Wait five seconds longer between two questions, from now on.',
  },
  'login-denied': { status: 400, title: 'The person said no', remedy: 'Begin anew if that was a mistake.' },
  'login-expired': {
    status: 400,
    title: 'The code is used up or has expired',
    remedy: 'Begin anew: a code holds for ten minutes and once.',
  },
  'sign-in-failed': { status: 400, title: 'The sign-in did not come to its end', remedy: 'Sign in again.' },
  'foreign-form': {
    status: 403,
    title: 'This form was not sent from our page',
    remedy: 'Open the page again and send it from there.',
  },
  'token-used-up': {
    status: 401,
    title: 'The token has no use left',
    remedy: 'Mint a new token; maxUses bounds how many requests it may authorize.',
  },
  'token-wrong-source': {
    status: 403,
    title: 'The token may not be used from this address',
    remedy: 'Call from one of the source ranges that `beamway token show` lists, or mint a token for yours.',
  },
  refused: { status: 403, title: 'Policy refuses this', remedy: 'See rules: each names what would have to change.' },
  'factor-wrong': {
    status: 403,
    title: 'The second factor was not accepted',
    remedy: 'Try again with the present code of your app, a passkey, or a recovery code.',
  },
  'factor-locked': {
    status: 429,
    title: 'Too many wrong codes',
    remedy: 'Wait for Retry-After seconds, or use a passkey.',
  },
  'not-found': {
    status: 404,
    title: 'No such thing, or none that you may see',
    remedy: 'Check the id and the project of your token.',
  },
  'no-such-route': { status: 404, title: 'No such route', remedy: 'GET /beamway/v1/openapi.json lists the routes.' },
  'method-not-allowed': {
    status: 405,
    title: 'That method is not served here',
    remedy: 'GET /beamway/v1/openapi.json lists the methods of each route.',
  },
  'request-timeout': {
    status: 408,
    title: 'The request did not arrive in time',
    remedy: 'Send headers and body without long pauses; repeat with the same Idempotency-Key.',
  },
  conflict: { status: 409, title: 'The present state forbids this', remedy: 'Read the object again and decide anew.' },
  'job-ended': {
    status: 409,
    title: 'The job has ended',
    remedy: 'An ended job never changes: submit a new one, with a new Idempotency-Key.',
  },
  'import-too-large': {
    status: 409,
    title: 'The import would end too many members at once',
    remedy: 'Look at the plan (--dry-run) and at the source; import with --force if it is right.',
  },
  'idempotency-in-progress': {
    status: 409,
    title: 'The same request is still being carried out',
    remedy: 'Repeat it with the same Idempotency-Key after Retry-After seconds.',
  },
  'shown-once': {
    status: 409,
    title: 'This was done already, and its secret is shown once only',
    remedy: 'Revoke what was made and make a new one with a new Idempotency-Key.',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    remedy: 'Send at most 1 MiB; put data into a stream, not into a request.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'Only application/json is read here',
    remedy: 'Set Content-Type: application/json.',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'That Idempotency-Key belongs to another request',
    remedy: 'Use a new key for a new request.',
  },
  'parameter-out-of-bounds': {
    status: 422,
    title: 'A parameter is outside its bounds',
    remedy: 'errors gives each bound; `beamway template list --json` prints them all.',
  },
  'unknown-tier': {
    status: 422,
    title: 'No such tier for this project in this environment',
    remedy: 'errors lists the tiers that may be used.',
  },
  'not-supported-here': {
    status: 422,
    title: 'The cluster cannot do this',
    remedy: 'Leave out what errors names, or use an environment on another cluster.',
  },
  'account-refused': {
    status: 403,
    title: 'The cluster does not let you in',
    remedy:
      'Ask the operators whether you have a Unix account and a Slurm association for this project, and whether the path lies where you may write.',
  },
  'job-too-large': {
    status: 422,
    title: 'No node set of the cluster can ever hold this job',
    remedy: 'Ask for fewer nodes or slots.',
  },
  'headers-too-large': {
    status: 431,
    title: 'The headers are too large',
    remedy: 'Send fewer or shorter headers, 16 KiB in all.',
  },
  'rate-limited': { status: 429, title: 'Too many requests', remedy: 'Wait for Retry-After seconds.' },
  'too-many-in-flight': {
    status: 429,
    title: 'Too many requests at once',
    remedy: 'Wait for answers before asking more; repeat after Retry-After seconds.',
  },
  'limit-reached': {
    status: 429,
    title: 'A limit of the project is reached',
    remedy: 'Release something first, or ask the facility to raise the limit; `limit` names it.',
  },
  internal: {
    status: 500,
    title: 'Something failed on our side',
    remedy: 'Repeat with the same Idempotency-Key; quote the request id to the operators.',
  },
  'source-failed': {
    status: 502,
    title: 'The source could not be read',
    remedy: 'Mend what detail names and import again; nothing was changed.',
  },
  'no-capacity': {
    status: 503,
    title: 'No data streaming node can take this stream now',
    remedy: 'Try again later or ask for a smaller buffer.',
  },
  unavailable: {
    status: 503,
    title: 'A part that is needed does not answer',
    remedy: 'Repeat with the same Idempotency-Key after Retry-After seconds.',
  },
  draining: {
    status: 503,
    title: 'This replica is shutting down',
    remedy: 'Repeat; another replica or the restarted one answers.',
  },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

/** One failing field: `pointer` is a JSON pointer as URI fragment (`#/nodes`), `detail` says what it must be. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** One policy rule that took part in a denial. */
export interface RuleFinding {
  readonly rule: string;
  readonly detail: string;
}

export interface ProblemExtras {
  readonly errors?: readonly FieldError[];
  readonly rules?: readonly RuleFinding[];
  /** The limit that was met, by the name of whoever keeps it, such as QOSGrpNodeLimit. */
  readonly limit?: string;
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** What every use case throws when it cannot do what was asked. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly extras: ProblemExtras;

  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(detail, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.extras = extras;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }
}

/** The RFC 9457 document of a problem: public members only. */
export interface ProblemDocument {
  readonly type: string;
  readonly code: ProblemCode;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly remedy: string;
  readonly instance?: string;
  readonly errors?: readonly FieldError[];
  readonly rules?: readonly RuleFinding[];
  readonly limit?: string;
}

export function problemDocument(problem: Problem, requestId: string): ProblemDocument {
  const kind = PROBLEMS[problem.code];
  return {
    type: `urn:beamway:problem:${problem.code}`,
    code: problem.code,
    title: kind.title,
    status: kind.status,
    detail: problem.message,
    remedy: kind.remedy,
    instance: `urn:beamway:request:${requestId}`,
    ...(problem.extras.errors === undefined ? {} : { errors: problem.extras.errors }),
    ...(problem.extras.rules === undefined ? {} : { rules: problem.extras.rules }),
    ...(problem.extras.limit === undefined ? {} : { limit: problem.extras.limit }),
  };
}

/** Anything thrown becomes a Problem; what is not one is `internal`, its text kept from the caller. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem('internal', 'An unexpected error was logged under this request id.', { cause: thrown });
}
