/**
 * The facility's audit key: Ed25519, in a folder outside of the database. `signing-key.pem` (0600) signs; every public key in `public-keys/` is
 * trusted, so that checkpoints of a key that was replaced still verify. Owns those files.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type CheckpointSigner, keyIdOf, type TrustedKeys } from './checkpoint.ts';

export interface AuditKeys {
  readonly signer: CheckpointSigner;
  readonly trusted: TrustedKeys;
  /** Of the key that signs now. */
  readonly publicKeyPem: string;
}

/** Makes folder and key where there are none. Throws Error for a key that others can read, or that is no Ed25519 key. */
export function openAuditKeys(folder: string): AuditKeys {
  const publicFolder = join(folder, 'public-keys');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(publicFolder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'signing-key.pem');
  const fresh = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  if (!exists(path)) writeOnce(path, fresh);
  if ((statSync(path).mode & 0o077) !== 0) throw new Error(`${path} can be read by others; run: chmod 600 ${path}`);
  const privateKey = createPrivateKey(readFileSync(path));
  const publicKey = createPublicKey(privateKey);
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new Error(`${path} is no Ed25519 key`);
  const keyId = keyIdOf(publicKey);
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const publicPath = join(publicFolder, `${keyId}.pem`);
  if (!exists(publicPath)) writeOnce(publicPath, publicKeyPem);
  const trusted = new Map(
    readdirSync(publicFolder)
      .filter((name) => name.endsWith('.pem'))
      .map((name): [string, KeyObject] => {
        const key = createPublicKey(readFileSync(join(publicFolder, name)));
        return [keyIdOf(key), key];
      }),
  );
  const signer = { keyId, sign: (text: string): Buffer => sign(null, Buffer.from(text), privateKey) };
  return { signer, trusted, publicKeyPem };
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Whole or not at all, whenever we are killed; of two who write, the first wins. */
function writeOnce(path: string, text: string): void {
  const aside = `${path}.${randomBytes(6).toString('hex')}.new`;
  const file = openSync(aside, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    linkSync(aside, path);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause;
  } finally {
    rmSync(aside, { force: true });
  }
}
