/** When it is said that a stream's life ends: at 24 h and at 1 h left, each once for each end of life. Pure. */

const HOUR_MS = 3_600_000;
/** The nearer one first. */
const SAID_AT_HOURS = [1, 24] as const;

/** What is to have been said by now of an end of life; undefined: nothing yet. A later end of life is said anew. */
export function dueNotice(expiresAt: Date, now: Date): { readonly key: string; readonly hours: number } | undefined {
  const leftMs = expiresAt.getTime() - now.getTime();
  const hours = SAID_AT_HOURS.find((h) => leftMs <= h * HOUR_MS);
  return hours === undefined ? undefined : { key: `${expiresAt.toISOString()} ${hours}`, hours };
}

/** Of a life that is given at `now`: who gives a shorter one knows that. */
export const knownNotice = (expiresAt: Date, now: Date): string | null => dueNotice(expiresAt, now)?.key ?? null;
