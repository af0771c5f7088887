/**
 * Verifies exported records without a server: the links between them, and the checkpoints that the log recorded among them, against a public key
 * that came another way. Pure but for reading its lines.
 */
import { checkpointFrom, isSignedBy, type TrustedKeys } from './checkpoint.ts';
import { CHAIN_START, digestOf } from './record.ts';
import type { RecordJson } from './record-json.ts';
import { SEALED_ACTION } from './take-checkpoint.ts';
import type { BreakType } from './verify-chain.ts';

export type ExportReport =
  | {
      readonly intact: true;
      readonly records: number;
      readonly first: number | null;
      readonly last: number | null;
      /** Largest sequence number that a checkpoint of the given key seals; later records are linked but not sealed. Null without a key. */
      readonly signedThrough: number | null;
    }
  | {
      readonly intact: false;
      readonly records: number;
      readonly brokenAt: number;
      readonly type: BreakType | 'unreadable';
      readonly detail: string;
    };

/**
 * The first record's own digest is taken as given unless it is record 1: what was before it is not in the file. With keys, at least one checkpoint
 * must be among the records and every one must hold.
 */
export async function verifyRecords(lines: AsyncIterable<string>, keys?: TrustedKeys): Promise<ExportReport> {
  let previous: { readonly sequence: number; readonly digest: Buffer } | undefined;
  let first: number | null = null;
  let records = 0;
  let signedThrough: number | null = null;
  const digests = new Map<number, string>();
  const broken = (brokenAt: number, type: BreakType | 'unreadable', detail: string): ExportReport => ({
    intact: false,
    records,
    brokenAt,
    type,
    detail,
  });
  for await (const line of lines) {
    if (line === '') continue;
    const record = recordFromLine(line);
    const due = (previous?.sequence ?? 0) + 1;
    if (record === undefined) return broken(due, 'unreadable', `line ${records + 1} is no audit record`);
    if (previous !== undefined && record.sequence !== due)
      return record.sequence > due
        ? broken(due, 'missing', `record ${due} is missing`)
        : broken(due, 'reordered', `record ${record.sequence} stands behind record ${previous.sequence}`);
    const before = previous?.digest ?? (record.sequence === 1 ? CHAIN_START : undefined);
    if (before !== undefined && digestOf(before, hashed(record)).toString('hex') !== record.digest)
      return broken(record.sequence, 'altered', `record ${record.sequence} does not match its digest`);
    first ??= record.sequence;
    records += 1;
    previous = { sequence: record.sequence, digest: Buffer.from(record.digest, 'hex') };
    if (keys !== undefined) digests.set(record.sequence, record.digest);
    if (keys === undefined || record.action !== SEALED_ACTION || record.phase !== 'event') continue;
    const checkpoint = checkpointFrom(record.detail);
    if (checkpoint === undefined || !isSignedBy(keys, checkpoint))
      return broken(record.sequence, 'unsigned', `the checkpoint in record ${record.sequence} is not of the given key`);
    const sealed = digests.get(checkpoint.sequence);
    if (sealed !== undefined && sealed !== checkpoint.digest.toString('hex'))
      return broken(
        checkpoint.sequence,
        'checkpoint-mismatch',
        `record ${checkpoint.sequence} is not the one that was sealed`,
      );
    if (sealed !== undefined) signedThrough = Math.max(signedThrough ?? 0, checkpoint.sequence);
    // A later checkpoint seals a later record: what is before this one is never asked for again.
    for (const sequence of digests.keys()) if (sequence < checkpoint.sequence) digests.delete(sequence);
  }
  if (keys !== undefined && records > 0 && signedThrough === null)
    return broken(first ?? 1, 'unsigned', 'no checkpoint of the given key seals any of these records');
  return { intact: true, records, first, last: previous?.sequence ?? null, signedThrough };
}

function hashed(record: RecordJson) {
  const { at, detail, ...fields } = record;
  return { ...fields, time: at, detailText: JSON.stringify(detail) };
}

const TEXTS = [
  'at',
  'requestId',
  'phase',
  'callerKind',
  'callerId',
  'subject',
  'action',
  'resource',
  'digest',
] as const;

function recordFromLine(line: string): RecordJson | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as Partial<Record<keyof RecordJson, unknown>>;
  if (TEXTS.some((field) => typeof record[field] !== 'string')) return undefined;
  if (!Number.isSafeInteger(record.sequence) || Number(record.sequence) < 1) return undefined;
  if (record.project !== null && typeof record.project !== 'string') return undefined;
  if (record.status !== null && typeof record.status !== 'number') return undefined;
  if (typeof record.detail !== 'object' || record.detail === null) return undefined;
  if (!/^[0-9a-f]{64}$/.test(String(record.digest))) return undefined;
  return value as RecordJson;
}
