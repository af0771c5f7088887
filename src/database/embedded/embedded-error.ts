/** The one error of the embedded server: its message says what is wrong and what to do. Owns no state. */

export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
}

/** Whether `error` is a system error with this code, such as ENOENT. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}
