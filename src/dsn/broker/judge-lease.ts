/** Whether a connection is let into a stream at its gateway: the lease's life, the credential, the address, the lockdown. No call to anybody. */
import { addressList } from '../../address-list.ts';
import type { Lease } from '../../api/contract/node-link.ts';
import { checkPassword } from '../admit.ts';
import type { Judgement } from '../gateway/protocol.ts';
import type { LocalCredential } from './broker.ts';

export const SHUT = 'the facility is locked down: paths from outside are shut';

export const DRAINING = 'the stream is draining: nothing more is taken in';

export interface Asked {
  readonly username: string;
  readonly password: string;
  readonly remoteAddress: string;
  readonly nowMs: number;
  /** Which quota is used up, in words; empty or left out: none. */
  readonly quotaReached?: string;
}

export function judgeLease(lease: Lease, local: readonly LocalCredential[], asked: Asked): Judgement {
  const no = (reason: string) => ({ ok: false, reason }) as const;
  if (lease.expiresAtMs <= asked.nowMs) return no('the stream has expired');
  const verdict = checkPassword(lease, local, asked);
  if (!verdict.ok) return verdict;
  if (lease.externalShut && !verdict.own) return no(SHUT);
  // Jobs come from the compute network with a credential the node made; the list is for those from outside.
  if (!verdict.own && !addressList(lease.externalAddresses).check(asked.remoteAddress))
    return no(`address ${asked.remoteAddress} is not listed`);
  if (verdict.role === 'producer' && lease.draining) return no(DRAINING);
  if (verdict.role === 'producer' && asked.quotaReached !== undefined && asked.quotaReached !== '')
    return no(asked.quotaReached);
  return { ok: true, grant: { role: verdict.role, credentialId: verdict.credentialId } } as const;
}

/** Which of the connections that are open must go; the reason says why. */
export function unwantedIn(lease: Lease, local: readonly LocalCredential[], nowMs: number) {
  const allowed = addressList(lease.externalAddresses);
  const own = new Set(local.map((c) => c.id));
  const leased = new Set(lease.credentials.filter((c) => c.expiresAtMs > nowMs).map((c) => c.id));
  return {
    reason: lease.externalShut ? SHUT : 'its credential was revoked or has expired',
    /** `address` undefined: a router has judged it. */
    isUnwanted: ({ credentialId }: { readonly credentialId: string }, address: string | undefined): boolean =>
      !own.has(credentialId) &&
      (lease.externalShut || !leased.has(credentialId) || (address !== undefined && !allowed.check(address))),
  };
}
