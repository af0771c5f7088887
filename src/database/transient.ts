/**
 * Which database errors mean "the server is away or coming back", as opposed to "the statement is wrong".
 * Owns no state. Codes: PostgreSQL manual, appendix A.
 */

const AWAY_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '08000',
  '08001',
  '08003',
  '08006',
]);
/** serialization_failure and deadlock_detected: the transaction was rolled back and may be run anew. */
const CONTENTION_CODES: ReadonlySet<string> = new Set(['40001', '40P01']);
/** What pg says, without a code, when the socket closes under it. */
const AWAY_MESSAGES = ['Connection terminated', 'Client has encountered a connection error', 'Client was closed'];

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The connection failed or was cut; whether the last statement took effect is not known from this alone. */
export function isAway(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined && AWAY_CODES.has(code)) return true;
  return error instanceof Error && AWAY_MESSAGES.some((m) => error.message.startsWith(m));
}

/** The server has no free connection slot (too_many_connections); only meaningful while connecting. */
export function isCrowded(error: unknown): boolean {
  return codeOf(error) === '53300';
}

/** Two transactions were in each other's way; nothing of this one is left. */
export function isContention(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && CONTENTION_CODES.has(code);
}
