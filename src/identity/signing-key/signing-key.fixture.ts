/** For tests: signing keys without a database, and a caller. */
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import type { TokenCaller } from '../caller.ts';

export const ISSUER = 'https://beamway.example.org';

export interface FakeKey {
  readonly kid: string;
  readonly x: string;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

export async function fakeKey(): Promise<FakeKey> {
  const { publicKey, privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const { x = '' } = await exportJWK(publicKey);
  return { kid: await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x }), x, publicKey, privateKey };
}

export const CALLER: TokenCaller = {
  kind: 'token',
  id: 'tok_parent',
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ['job:read', 'stream:connect'],
  purpose: '',
  classification: 'public',
};
