/** Walks the whole chain and reports the first link that is broken, a gap, or an end that is not the head. */
import type { Queries } from '../database/index.ts';
import { CHAIN_START, chainDigest } from './record.ts';
import { readHead, recordsFrom } from './store.ts';

const PAGE_RECORDS = 5000;

export type ChainReport =
  | { readonly intact: true; readonly records: number; readonly head: string }
  | { readonly intact: false; readonly records: number; readonly brokenAt: number; readonly detail: string };

export async function verifyChain(db: Queries): Promise<ChainReport> {
  // The head is read first: records appended while we walk lie beyond it and are not judged.
  const head = await readHead(db);
  let digest: Buffer = CHAIN_START;
  let sequence = 0;
  while (sequence < head.sequence) {
    const page = await recordsFrom(db, sequence, Math.min(PAGE_RECORDS, head.sequence - sequence));
    if (page.length === 0) return broken(sequence, 'records are missing before the head');
    for (const record of page) {
      if (record.sequence !== sequence + 1) return broken(sequence, `record ${sequence + 1} is missing`);
      const expected = chainDigest(digest, record.sequence, record);
      if (!expected.equals(record.digest))
        return broken(sequence, `record ${record.sequence} does not match its digest`);
      digest = record.digest;
      sequence = record.sequence;
    }
  }
  if (!digest.equals(head.digest)) return broken(sequence, 'the last record is not the head of the chain');
  return { intact: true, records: sequence, head: digest.toString('hex') };
}

function broken(intactUpTo: number, detail: string): ChainReport {
  return { intact: false, records: intactUpTo, brokenAt: intactUpTo + 1, detail };
}
