/** Failures as OAuth 2.0 clients expect them: RFC 6749 section 5.2, RFC 6750 section 3.1, RFC 7662 section 2.3, RFC 8693 section 2.2.2. Pure. */
import { PROBLEMS, type ProblemCode, type ProblemDocument } from '../problems.ts';

export interface OauthError {
  readonly error: string;
  readonly error_description: string;
}

const ERRORS: Partial<Record<ProblemCode, string>> = {
  'token-missing': 'invalid_client',
  'identity-refused': 'invalid_request',
  'target-refused': 'invalid_target',
  'scope-refused': 'invalid_scope',
  'unsupported-grant': 'unsupported_grant_type',
  'rate-limited': 'temporarily_unavailable',
  unavailable: 'temporarily_unavailable',
  draining: 'temporarily_unavailable',
  refused: 'access_denied',
};

/** By the code, else by the status. */
export function oauthError(code: ProblemCode): string {
  const named = ERRORS[code];
  if (named !== undefined) return named;
  const { status } = PROBLEMS[code];
  if (status >= 500) return 'server_error';
  return status === 401 ? 'invalid_token' : 'invalid_request';
}

/** RFC 6749 allows %x20-21 / %x23-5B / %x5D-7E in a description: no quotes, no line ends. */
export function oauthAnswer(problem: ProblemDocument): OauthError {
  const fields = (problem.errors ?? []).map((e) => `${e.pointer.replace(/^#\//, '')}: ${e.detail}`);
  const text = [problem.detail, ...fields].join(' ');
  return { error: oauthError(problem.code), error_description: text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'") };
}
