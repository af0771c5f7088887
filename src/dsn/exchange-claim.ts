/**
 * Decides on a claim from the leases and what was claimed before. Pure but for the new credential's randomness: attempts only go up, a later
 * attempt fences the earlier ones, and an answer that was lost on the way may be asked for again until it was used.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Lease } from '../api/contract/node-link.ts';
import type { ClaimRequest } from './claim-server.ts';
import type { Claimed } from './lease-file.ts';

export type Exchange =
  | { readonly kind: 'granted'; readonly lease: Lease; readonly claimed: Claimed; readonly password: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused'; readonly reason: string };

export interface ClaimFacts {
  readonly leases: readonly Lease[];
  readonly claimed: readonly Claimed[];
  readonly used: (credential: string) => boolean;
  readonly nowMs: number;
}

export function exchangeClaim(facts: ClaimFacts, request: ClaimRequest): Exchange {
  const digest = createHash('sha256').update(request.claim).digest();
  for (const lease of facts.leases) {
    for (const claim of lease.claims) {
      const wanted = Buffer.from(claim.secretDigest, 'hex');
      if (wanted.length !== digest.length || !timingSafeEqual(wanted, digest)) continue;
      if (claim.job !== request.job) return { kind: 'refused', reason: 'the claim is another job’s' };
      if (claim.expiresAtMs <= facts.nowMs) return { kind: 'refused', reason: 'the claim has expired' };
      const earlier = facts.claimed.find((c) => c.claim === claim.id);
      if (earlier !== undefined && request.attempt < earlier.attempt)
        return { kind: 'refused', reason: `attempt ${earlier.attempt} has claimed it` };
      if (earlier !== undefined && request.attempt === earlier.attempt && facts.used(earlier.credential.id))
        return { kind: 'refused', reason: 'it was claimed and used' };
      const password = randomBytes(20).toString('hex');
      const id = `${claim.id}.${request.attempt}`;
      const credential = {
        id,
        stream: lease.stream,
        role: claim.role,
        username: id,
        passwordDigest: createHash('sha256').update(password).digest('hex'),
      };
      return { kind: 'granted', lease, claimed: { claim: claim.id, attempt: request.attempt, credential }, password };
    }
  }
  return { kind: 'unknown' };
}
