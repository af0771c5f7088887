/**
 * A secret as it lies in the database: AES-256-GCM, nonce (12 bytes) || text || tag (16 bytes). What it is for is bound in as associated data,
 * so that a sealed secret that is moved to another person's row does not open. NIST SP 800-38D.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { FactorKeys } from './factor-keys.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Sealed {
  readonly keyId: string;
  readonly bytes: Buffer;
}

export function seal(keys: FactorKeys, text: string, boundTo: string): Sealed {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, keyOf(keys, keys.current), nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(boundTo));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return { keyId: keys.current, bytes: Buffer.concat([nonce, body, cipher.getAuthTag()]) };
}

/** Throws Error where the key is not there, or the bytes were changed or moved. */
export function unseal(keys: FactorKeys, sealed: Sealed, boundTo: string): string {
  const { bytes } = sealed;
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('a sealed secret is cut short');
  const decipher = createDecipheriv(CIPHER, keyOf(keys, sealed.keyId), bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(boundTo));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  const body = bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES);
  return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
}

function keyOf(keys: FactorKeys, id: string): Buffer {
  const key = keys.keys.get(id);
  if (key === undefined) throw new Error(`the key ${id} is not in the file of factor keys`);
  return key;
}
