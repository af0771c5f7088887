/** The facility's own certificate authority, made at the first start and the same on every replica. Signs for data streaming nodes; holds its private key in memory. */
import type { Clock } from '../../clock.ts';
import { type Queries, transaction } from '../../database/index.ts';
import { newId } from '../../id.ts';
import { Problem } from '../../problems.ts';
import { readFactorKeys } from '../second-factor/factor-keys.ts';
import { seal, unseal } from '../second-factor/seal-secret.ts';
import { insertAuthority, lockAuthority, type StoredAuthority, storedAuthority } from './authority-store.ts';
import { makeAuthority, type NodeIdentity, type SignedCertificate, signNodeCertificate } from './certificates.ts';

export interface Authority {
  /** What clients verify nodes with; PEM. */
  readonly certificatePem: string;
  /** Throws `invalid-request` for a request that is none, or not signed by its own key. */
  signNode(requestPem: string, of: NodeIdentity): Promise<SignedCertificate>;
}

export interface AuthorityDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: string;
  /** The file under which signing keys lie; the same on every replica. */
  readonly sealFile: string;
}

const boundTo = (id: string): string => `authority\0${id}`;

/** Throws Error where the authority's key cannot be opened with this replica's file. */
export async function openAuthority(deps: AuthorityDeps): Promise<Authority> {
  const seals = readFactorKeys(deps.sealFile);
  const stored = (await storedAuthority(deps.db)) ?? (await make(deps));
  const { certificatePem } = stored;
  let privateKeyPem: string;
  try {
    privateKeyPem = unseal(seals, stored.sealed, boundTo(stored.id));
  } catch (cause) {
    throw new Error(
      `the certificate authority cannot be opened with ${deps.sealFile}: every replica needs the same file, copy it from one that runs or from your backup`,
      { cause },
    );
  }
  return {
    certificatePem,
    async signNode(requestPem, of) {
      const pair = { certificatePem, privateKeyPem };
      const signed = await signNodeCertificate(pair, requestPem, { ...of, nowMs: deps.clock.now() });
      if (signed === undefined)
        throw new Problem('invalid-request', 'This is no certificate request of a P-256 key, signed by that key.', {
          errors: [{ pointer: '#/request', detail: 'a PKCS #10 request in PEM' }],
        });
      return signed;
    },
  };
}

async function make(deps: AuthorityDeps): Promise<StoredAuthority> {
  const seals = readFactorKeys(deps.sealFile);
  return transaction(deps.db, async (trx) => {
    await lockAuthority(trx);
    const earlier = await storedAuthority(trx);
    if (earlier !== undefined) return earlier;
    const nowMs = deps.clock.now();
    const { certificatePem, privateKeyPem } = await makeAuthority(deps.facility, nowMs);
    const id = newId('cau');
    const sealed = seal(seals, privateKeyPem, boundTo(id));
    const made = { id, certificatePem, sealed, createdAt: new Date(nowMs) };
    await insertAuthority(trx, made);
    return made;
  });
}
