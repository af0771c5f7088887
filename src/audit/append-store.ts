/**
 * SQL that appends to the chain. Replicas append in one order and sequence numbers have no gap: the head row is moved in the same statement or transaction. Holds, for one
 * writer, where its last batch left the head: while nobody else appends, a batch is one statement and so one round trip.
 */
import { sql } from 'kysely';
import { isAway, type Queries, type TransactionQueries, transaction } from '../database/index.ts';
import { arrayLiteral, timestampText } from './array-literal.ts';
import { digestOf, type StorableEntry } from './record.ts';
import { tables } from './tables-store.ts';

interface Head {
  readonly sequence: number;
  readonly digest: Buffer;
}

/** Entries as they follow a head: columns for `unnest`, and the head after them. */
interface Chained {
  readonly entries: readonly StorableEntry[];
  readonly times: readonly string[];
  readonly digests: readonly string[];
  readonly before: Head;
  readonly after: Head;
}

/** Appends batches, all or nothing each; resolves when they are durable. Not to be called again before it has. */
export function batchAppender(db: Queries): (entries: readonly StorableEntry[]) => Promise<void> {
  let known: Head | undefined;
  return async (entries) => {
    const hoped = known === undefined ? undefined : chained(known, entries);
    known = undefined;
    if (hoped !== undefined && (await appendedAtOnce(db, hoped))) {
      known = hoped.after;
      return;
    }
    known = await transaction(db, async (trx) => {
      // The connection may have been lost after the statement took effect: the same digest in its place is the same record.
      if (hoped !== undefined && (await isThere(trx, hoped.after))) return undefined;
      return appendWithin(trx, entries);
    });
  };
}

/** As a part of a transaction that does more; holds the head until it ends. */
export async function appendWithin(trx: TransactionQueries, entries: readonly StorableEntry[]): Promise<Head> {
  const head = await tables(trx)
    .selectFrom('audit_head')
    .select(['sequence', 'digest'])
    .forUpdate()
    .executeTakeFirstOrThrow();
  const batch = chained(head, entries);
  if (!(await moveHead(trx, batch))) throw new Error('the head of the audit chain moved under its lock');
  return batch.after;
}

/** False: somebody else appended since, or nobody knows whether it took effect. */
async function appendedAtOnce(db: Queries, batch: Chained): Promise<boolean> {
  try {
    return await moveHead(db, batch);
  } catch (cause) {
    if (isAway(cause)) return false;
    throw cause;
  }
}

async function isThere(db: Queries, { sequence, digest }: Head): Promise<boolean> {
  const row = await tables(db)
    .selectFrom('audit_record')
    .select('digest')
    .where('sequence', '=', sequence)
    .executeTakeFirst();
  return row?.digest.equals(digest) ?? false;
}

/** One statement: the head moves from `before` and the records stand behind it, or neither. */
async function moveHead(db: Queries, batch: Chained): Promise<boolean> {
  const { before, after, entries, times, digests } = batch;
  const column = (of: (entry: StorableEntry) => string | null) => arrayLiteral(entries.map(of));
  // One array a column: few parameters however many records, and the least that PostgreSQL must parse.
  const { numAffectedRows = 0n } = await sql`
      with moved as (
        update audit_head set sequence = ${after.sequence}::bigint, digest = ${after.digest}
        where sequence = ${before.sequence}::bigint and digest = ${before.digest}
        returning period)
      insert into audit_record (sequence, at, request_id, phase, caller_kind, caller_id, subject, project, action,
        resource, status, detail, digest, period)
      select ${before.sequence}::bigint + u.n, u.at, u.request_id, u.phase, u.caller_kind, u.caller_id, u.subject, u.project,
        u.action, u.resource, u.status, u.detail, u.digest, moved.period
      from moved, unnest(${arrayLiteral(times)}::timestamptz[], ${column((e) => e.requestId)}::text[], ${column((e) => e.phase)}::text[],
        ${column((e) => e.callerKind)}::text[], ${column((e) => e.callerId)}::text[], ${column((e) => e.subject)}::text[],
        ${column((e) => e.project)}::text[], ${column((e) => e.action)}::text[], ${column((e) => e.resource)}::text[],
        ${column((e) => (e.status === null ? null : String(e.status)))}::integer[], ${column((e) => e.detailText)}::text[],
        ${arrayLiteral(digests)}::bytea[]) with ordinality
        as u(at, request_id, phase, caller_kind, caller_id, subject, project, action, resource, status, detail, digest, n)
    `.execute(db);
  return Number(numAffectedRows) === entries.length;
}

function chained(before: Head, entries: readonly StorableEntry[]): Chained {
  let { sequence, digest } = before;
  const times: string[] = [];
  const digests: string[] = [];
  for (const entry of entries) {
    sequence += 1;
    const time = entry.at.toISOString();
    // Spelt out: a spread of each of thousands of records costs more than its hash.
    const { requestId, phase, callerKind, callerId, subject, project, action, resource, status, detailText } = entry;
    digest = digestOf(digest, {
      sequence,
      time,
      requestId,
      phase,
      callerKind,
      callerId,
      subject,
      project,
      action,
      resource,
      status,
      detailText,
    });
    times.push(timestampText(entry.at, time));
    digests.push(`\\x${digest.toString('hex')}`);
  }
  return { entries, times, digests, before, after: { sequence, digest } };
}
