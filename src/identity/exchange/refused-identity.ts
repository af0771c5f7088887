/** A subject token that is not believed, or not for what was asked: the problem, and what the audit log is told of it. Never the token. */
import { Problem, type ProblemCode, type ProblemExtras } from '../../problems.ts';

export interface ClaimedIdentity {
  /** As the token says, cut to a length that a record takes; empty: it says nothing. */
  readonly issuer: string;
  readonly subject: string;
  /** The signature was right: issuer and subject are what they say. */
  readonly verified: boolean;
}

export const NOBODY: ClaimedIdentity = { issuer: '', subject: '', verified: false };

const LONGEST = 200;

export function claimed(issuer: unknown, subject: unknown, verified: boolean): ClaimedIdentity {
  const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, LONGEST) : '');
  return { issuer: text(issuer), subject: text(subject), verified };
}

export class RefusedIdentity extends Problem {
  readonly identity: ClaimedIdentity;
  /** What policy was asked, where it was: for the audit log. */
  readonly asked: Readonly<Record<string, unknown>>;
  constructor(
    code: ProblemCode,
    detail: string,
    of: ProblemExtras & { readonly identity: ClaimedIdentity; readonly asked?: Readonly<Record<string, unknown>> },
  ) {
    const { identity, asked = {}, ...extras } = of;
    super(code, detail, extras);
    this.identity = identity;
    this.asked = asked;
  }
}

/** Runs `work`; a problem of it becomes one of this identity. */
export async function asIdentity<T>(identity: ClaimedIdentity, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof Problem) || thrown instanceof RefusedIdentity) throw thrown;
    throw new RefusedIdentity(thrown.code, thrown.message, { ...thrown.extras, identity });
  }
}
