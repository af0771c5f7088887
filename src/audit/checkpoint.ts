/**
 * A signed checkpoint: whoever holds the facility's audit key says which digest the record of that number had. A `mark` seals the chain up to it; a
 * `start` says besides that the records up to it were dropped after their retention, so the chain begins behind it. RFC 8032 (Ed25519).
 */
import { createHash, type KeyObject, verify } from 'node:crypto';

export interface Checkpoint {
  readonly kind: 'mark' | 'start';
  readonly sequence: number;
  /** Of the record with that number, 32 bytes. */
  readonly digest: Buffer;
  readonly at: Date;
  readonly keyId: string;
  readonly signature: Buffer;
}

/** Handed in by the composition root: this room knows no other room's keys. */
export interface CheckpointSigner {
  readonly keyId: string;
  sign(text: string): Buffer;
}

/** Public keys by key id, from outside of the database. */
export type TrustedKeys = ReadonlyMap<string, KeyObject>;

/** First 16 hex digits of SHA-256 over the public key's SPKI DER. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

/** What is signed: one field a line, none of which can hold a line end. */
export function checkpointText(checkpoint: Omit<Checkpoint, 'signature'>): string {
  const { kind, sequence, digest, at, keyId } = checkpoint;
  return `beamway-audit-checkpoint/1\n${kind}\n${sequence}\n${digest.toString('hex')}\n${at.toISOString()}\n${keyId}\n`;
}

export function signCheckpoint(
  signer: CheckpointSigner,
  facts: Pick<Checkpoint, 'kind' | 'sequence' | 'digest' | 'at'>,
): Checkpoint {
  const unsigned = { ...facts, keyId: signer.keyId };
  return { ...unsigned, signature: signer.sign(checkpointText(unsigned)) };
}

export function isSignedBy(keys: TrustedKeys, checkpoint: Checkpoint): boolean {
  const key = keys.get(checkpoint.keyId);
  return key !== undefined && verify(null, Buffer.from(checkpointText(checkpoint)), key, checkpoint.signature);
}

/** As it stands in the checkpoint file, in the API's answers and in the log's own record of it. */
export interface CheckpointJson {
  readonly kind: 'mark' | 'start';
  readonly sequence: number;
  readonly digest: string;
  readonly at: string;
  readonly keyId: string;
  readonly signature: string;
}

export function checkpointJson(checkpoint: Checkpoint): CheckpointJson {
  const { kind, sequence, digest, at, keyId, signature } = checkpoint;
  return {
    kind,
    sequence,
    digest: digest.toString('hex'),
    at: at.toISOString(),
    keyId,
    signature: signature.toString('base64'),
  };
}

/** Undefined for anything that is not a checkpoint; says nothing of its signature. */
export function checkpointFrom(value: unknown): Checkpoint | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, sequence, digest, at, keyId, signature } = value as Partial<Record<keyof CheckpointJson, unknown>>;
  if (kind !== 'mark' && kind !== 'start') return undefined;
  if (!Number.isSafeInteger(sequence) || Number(sequence) < 1) return undefined;
  if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest)) return undefined;
  if (typeof at !== 'string' || Number.isNaN(Date.parse(at)) || new Date(at).toISOString() !== at) return undefined;
  if (typeof keyId !== 'string' || !/^[0-9a-f]{16}$/.test(keyId)) return undefined;
  if (typeof signature !== 'string' || !/^[A-Za-z0-9+/]{86}==$/.test(signature)) return undefined;
  return {
    kind,
    sequence: Number(sequence),
    digest: Buffer.from(digest, 'hex'),
    at: new Date(at),
    keyId,
    signature: Buffer.from(signature, 'base64'),
  };
}
