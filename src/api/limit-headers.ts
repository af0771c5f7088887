/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, structured fields of RFC 9651): the policies that a request was
 * under, and the one that is nearest to its end. A token bucket is written as `q` requests in `w` seconds, `w` being how long an empty one
 * takes to fill: who keeps to that is never refused for long. Owns no state.
 */
import type { Rate } from '../policy/index.ts';

export interface NamedRate {
  /** For example `project-read`. */
  readonly name: string;
  readonly perSecond: number;
  readonly burst: number;
  /** Its item of RateLimit-Policy. */
  readonly policy: string;
}

export interface AppliedLimit {
  readonly of: NamedRate;
  /** Requests that may follow at once, as far as this replica knows. */
  readonly left: number;
  readonly refusedForSeconds?: number;
}

export function namedRate(name: string, { perSecond, burst }: Rate): NamedRate {
  return { name, perSecond, burst, policy: `"${name}";q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}` };
}

/** Of no limit: none. */
export function limitHeaders(applied: readonly AppliedLimit[]): readonly (readonly [string, string])[] {
  const nearest = nearestToEnd(applied);
  if (nearest === undefined) return [];
  const { of, refusedForSeconds } = nearest;
  const left = Math.max(0, Math.min(nearest.left, of.burst));
  const seconds = refusedForSeconds ?? Math.ceil((of.burst - left) / of.perSecond);
  return [
    ['ratelimit-policy', applied.map((a) => a.of.policy).join(', ')],
    ['ratelimit', `"${of.name}";r=${left};t=${seconds}`],
  ];
}

function nearestToEnd(applied: readonly AppliedLimit[]): AppliedLimit | undefined {
  let nearest: AppliedLimit | undefined;
  for (const limit of applied) {
    if (limit.refusedForSeconds !== undefined) return limit;
    if (nearest === undefined || limit.left < nearest.left) nearest = limit;
  }
  return nearest;
}
