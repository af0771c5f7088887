/**
 * Walks the chain and names the first link that is broken: a record altered, missing or out of its place, an end cut off, a checkpoint that the chain
 * contradicts or that nobody trusted has signed. Starts behind the records that were dropped after their retention.
 */
import type { Queries } from '../database/index.ts';
import { type ChainLink, chainPage } from './chain-store.ts';
import { type Checkpoint, isSignedBy, type TrustedKeys } from './checkpoint.ts';
import { keyOf } from './checkpoint-file.ts';
import { checkpointsFrom, lastCheckpoint } from './checkpoint-store.ts';
import { CHAIN_START, digestOf } from './record.ts';
import { type ChainHead, readHead } from './store.ts';

const PAGE_RECORDS = 5000;

/** What a broken link looks like: see docs/operate/audit.md. */
export type BreakType = 'altered' | 'missing' | 'truncated' | 'reordered' | 'checkpoint-mismatch' | 'unsigned';

export type ChainReport =
  | {
      readonly intact: true;
      readonly records: number;
      readonly head: string;
      /** The records before it were dropped after their retention. */
      readonly first: number;
      /** Largest sequence number that a trusted checkpoint seals; null where no checkpoint was checked. */
      readonly signedThrough: number | null;
    }
  | {
      readonly intact: false;
      /** Intact ones before the break. */
      readonly records: number;
      readonly brokenAt: number;
      readonly type: BreakType;
      readonly detail: string;
    };

/** What is known from outside of the database. Without keys, signatures are not judged. */
export interface OutsideWitness {
  readonly trusted?: TrustedKeys;
  readonly file?: readonly Checkpoint[];
}

/** Walks the whole chain. The file must have been read before: what it then knew, the log must still hold. */
export async function verifyChain(db: Queries, witness: OutsideWitness = {}): Promise<ChainReport> {
  // Checkpoints before the head: what they seal must be there. Records appended while we walk lie beyond the head and are not judged.
  const held = await checkpointsFrom(db, 0);
  const head = await readHead(db);
  const report = await verifyUpTo(db, { head, held, witness });
  if (report.intact) return report;
  // Dropped under our feet by the owner: begin behind what is gone.
  const start = (await lastCheckpoint(db, 'start'))?.sequence;
  return start === startOf(held)?.sequence ? report : verifyChain(db, witness);
}

interface Judged {
  readonly head: ChainHead;
  readonly held: readonly Checkpoint[];
  readonly witness: OutsideWitness;
}

async function verifyUpTo(db: Queries, { head, held, witness }: Judged): Promise<ChainReport> {
  const { trusted, file = [] } = witness;
  const start = startOf(held);
  const from = start?.sequence ?? 0;
  if (start !== undefined && trusted !== undefined && !isSignedBy(trusted, start))
    return broken(
      { from, at: from + 1 },
      'unsigned',
      `no trusted key signed that the log begins behind record ${from}`,
    );
  const marks = marksBetween({ held, file, trusted }, { from, through: head.sequence });
  const walked = await walkLinks(db, { from, digest: start?.digest ?? CHAIN_START, head, marks });
  if ('intact' in walked) return walked;
  const end = { from, at: head.sequence + 1 };
  if (!walked.digest.equals(head.digest)) return broken(end, 'altered', 'the last record is not the head of the chain');
  if (head.last > head.sequence) return broken(end, 'altered', `record ${head.last} lies beyond the head`);
  for (const [where, known] of [
    ['database', held],
    ['file', file],
  ] as const) {
    const beyond = known.find((c) => c.sequence > head.sequence);
    if (beyond !== undefined)
      return broken(
        end,
        'truncated',
        `a checkpoint in the ${where} seals record ${beyond.sequence}, the log ends at ${head.sequence}`,
      );
  }
  const sealed = trusted === undefined ? [] : [from, ...marks.keys()].filter((s) => s > 0);
  return {
    intact: true,
    records: head.sequence - from,
    head: head.digest.toString('hex'),
    first: from + 1,
    signedThrough: sealed.length === 0 ? null : Math.max(...sealed),
  };
}

function startOf(held: readonly Checkpoint[]): Checkpoint | undefined {
  return held.findLast((c) => c.kind === 'start');
}

/** From a trusted digest to the head, links only: what is about to be signed. */
export async function verifyLinks(
  db: Queries,
  given: { readonly from: number; readonly digest: Buffer; readonly head: Pick<ChainHead, 'sequence' | 'digest'> },
): Promise<ChainReport | undefined> {
  const walked = await walkLinks(db, { ...given, marks: new Map() });
  if ('intact' in walked) return walked;
  return walked.digest.equals(given.head.digest)
    ? undefined
    : broken(
        { from: given.from, at: given.head.sequence + 1 },
        'altered',
        'the last record is not the head of the chain',
      );
}

type Objection = { readonly type: BreakType; readonly detail: string } | undefined;
type Marks = ReadonlyMap<number, (digest: Buffer) => Objection>;

interface Walk {
  readonly from: number;
  readonly digest: Buffer;
  readonly head: Pick<ChainHead, 'sequence' | 'digest'>;
  readonly marks: Marks;
}

async function walkLinks(
  db: Queries,
  { from, digest: first, head, marks }: Walk,
): Promise<ChainReport | { digest: Buffer }> {
  let digest = first;
  let sequence = from;
  let next = pageAfter(db, sequence, head.sequence);
  while (sequence < head.sequence) {
    const page = await next;
    const last = page.at(-1);
    if (last === undefined)
      return broken({ from, at: sequence + 1 }, 'truncated', 'records are missing before the head');
    // Fetched while this page is hashed.
    next = pageAfter(db, last.sequence, head.sequence);
    next.catch(() => undefined);
    for (const link of page) {
      const at = sequence + 1;
      if (link.sequence !== at) return broken({ from, at }, 'missing', `record ${at} is missing`);
      const expected = digestOf(digest, link);
      if (expected.toString('hex') !== link.digest) {
        const { type, detail } = await explainMismatch(db, { at, previous: digest, through: head.sequence });
        return broken({ from, at }, type, detail);
      }
      const objection = marks.get(at)?.(expected);
      if (objection !== undefined) return broken({ from, at }, objection.type, objection.detail);
      digest = expected;
      sequence = at;
    }
  }
  await next;
  return { digest };
}

function pageAfter(db: Queries, after: number, through: number): Promise<readonly ChainLink[]> {
  return after >= through ? Promise.resolve([]) : chainPage(db, after, { through, limit: PAGE_RECORDS });
}

/** A record that is not the one that was appended there: is that one still in the log, in another place? */
async function explainMismatch(
  db: Queries,
  { at, previous, through }: { readonly at: number; readonly previous: Buffer; readonly through: number },
): Promise<{ readonly type: BreakType; readonly detail: string }> {
  for (let after = at; ; ) {
    const page = await pageAfter(db, after, through);
    const last = page.at(-1);
    if (last === undefined) return { type: 'altered', detail: `record ${at} does not match its digest` };
    const moved = page.find((l) => digestOf(previous, { ...l, sequence: at }).toString('hex') === l.digest);
    if (moved !== undefined)
      return {
        type: 'reordered',
        detail: `record ${at} does not match its digest: it stands in the place of ${moved.sequence}`,
      };
    after = last.sequence;
  }
}

/** By sequence number, what the checkpoints of database and file have against a digest. */
function marksBetween(
  known: {
    readonly held: readonly Checkpoint[];
    readonly file: readonly Checkpoint[];
    readonly trusted: TrustedKeys | undefined;
  },
  range: { readonly from: number; readonly through: number },
): Marks {
  const names = new Set(known.held.map(keyOf));
  const objection = (c: Checkpoint, where: string, digest: Buffer): Objection => {
    if (known.trusted !== undefined && !isSignedBy(known.trusted, c))
      return {
        type: 'unsigned',
        detail: `no trusted key signed the checkpoint of record ${c.sequence} in the ${where}`,
      };
    if (!c.digest.equals(digest))
      return {
        type: 'checkpoint-mismatch',
        detail: `record ${c.sequence} is not the one whose checkpoint the ${where} holds`,
      };
    if (!names.has(keyOf(c)))
      return {
        type: 'checkpoint-mismatch',
        detail: `the checkpoint of record ${c.sequence} was taken out of the database`,
      };
    return undefined;
  };
  const marks = new Map<number, (digest: Buffer) => Objection>();
  for (const [where, list] of [
    ['database', known.held],
    ['file', known.file],
  ] as const) {
    for (const c of list) {
      if (c.sequence <= range.from || c.sequence > range.through) continue;
      const earlier = marks.get(c.sequence);
      marks.set(c.sequence, (digest) => earlier?.(digest) ?? objection(c, where, digest));
    }
  }
  return marks;
}

function broken(where: { readonly from: number; readonly at: number }, type: BreakType, detail: string): ChainReport {
  return { intact: false, records: where.at - 1 - where.from, brokenAt: where.at, type, detail };
}
