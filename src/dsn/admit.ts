/** Who may connect to a stream, from its lease and the node's own credentials: in constant time, with no call to anybody. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Lease } from '../api/contract/node-link.ts';
import type { LocalCredential } from './broker/broker.ts';

export type Verdict =
  | { readonly ok: true; readonly own: boolean; readonly role: 'producer' | 'consumer'; readonly credentialId: string }
  | { readonly ok: false; readonly reason: string };

export interface Attempt {
  readonly username: string;
  readonly password: string;
  readonly nowMs: number;
}

/** `own`: the credential is one that this node made for a job's attempt. */
export function checkPassword(lease: Lease, local: readonly LocalCredential[], attempt: Attempt): Verdict {
  const own = local.find((c) => c.username === attempt.username);
  const leased = lease.credentials.find((c) => c.username === attempt.username);
  const found = own ?? leased;
  const given = createHash('sha256').update(attempt.password).digest();
  // An unknown name takes the same path and time as a wrong password.
  const wanted = found === undefined ? Buffer.alloc(32) : Buffer.from(found.passwordDigest, 'hex');
  const same = wanted.length === given.length && timingSafeEqual(wanted, given);
  if (found === undefined || !same) return { ok: false, reason: 'user name or password is wrong' };
  if (leased !== undefined && leased.expiresAtMs <= attempt.nowMs)
    return { ok: false, reason: 'the credential has expired' };
  return { ok: true, own: own !== undefined, role: found.role, credentialId: found.id };
}
