/** SQL that reads the chain for verification: as text where a Date would cost more than the hash. */
import { sql } from 'kysely';
import type { Queries } from '../database/index.ts';
import type { AuditPhase, HashedFields } from './record.ts';
import { recordsFrom } from './store.ts';
import { tables } from './tables-store.ts';

export interface ChainLink extends HashedFields {
  readonly digest: string;
}

/** `2026-01-01 00:00:00.12+00`, as a session in UTC shows it. */
const PLAIN_TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00$/;

/** Links behind `after` up to `through`, in order, at most `limit`. */
export async function chainPage(
  db: Queries,
  after: number,
  bounds: { readonly through: number; readonly limit: number },
): Promise<readonly ChainLink[]> {
  const rows = await tables(db)
    .selectFrom('audit_record')
    .select([
      'sequence',
      sql<string>`at::text`.as('time'),
      'request_id as requestId',
      'phase',
      'caller_kind as callerKind',
      'caller_id as callerId',
      'subject',
      'project',
      'action',
      'resource',
      'status',
      'detail as detailText',
      sql<string>`encode(digest, 'hex')`.as('digest'),
    ])
    .where('sequence', '>', after)
    .where('sequence', '<=', bounds.through)
    .orderBy('sequence')
    .limit(bounds.limit)
    .execute();
  const links: (ChainLink & { time: string; phase: AuditPhase })[] = rows;
  for (const link of links)
    link.time = PLAIN_TIME.test(link.time) ? isoOf(link.time) : await slowIso(db, link.sequence);
  return links;
}

function isoOf(text: string): string {
  const fraction = text.length > 22 ? text.slice(20, -3).padEnd(3, '0').slice(0, 3) : '000';
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`;
}

/** A year of other than four digits: the driver knows how to read it. */
async function slowIso(db: Queries, sequence: number): Promise<string> {
  const [record] = await recordsFrom(db, sequence - 1, 1);
  return record === undefined || record.sequence !== sequence ? '' : record.at.toISOString();
}
