/** SQL of ceremonies under way (a passkey's challenge, a TOTP secret not yet confirmed) and of the tries that a person has made with codes. */
import { sql } from 'kysely';
import type { Queries, TransactionQueries } from '../../database/index.ts';
import { type CeremonyPurpose, type CeremonyRow, factorTables } from './factor-tables-store.ts';

/** Wrong codes that cost nothing; each further one doubles the wait. */
export const FREE_TRIES = 5;
const FIRST_WAIT_SECONDS = 30;
const LONGEST_WAIT_SECONDS = 3600;
/** Begun and not ended, in one session; the oldest ones make room. */
const MOST_CEREMONIES = 8;

export async function insertCeremony(db: Queries, row: CeremonyRow, now: Date): Promise<void> {
  const tables = factorTables(db);
  await tables.deleteFrom('identity_factor_ceremony').where('expires_at', '<=', now).execute();
  await tables
    .deleteFrom('identity_factor_ceremony')
    .where('id', 'in', (e) =>
      e
        .selectFrom('identity_factor_ceremony')
        .select('id')
        .where('session', '=', row.session)
        .orderBy('expires_at', 'desc')
        .offset(MOST_CEREMONIES - 1),
    )
    .execute();
  await tables.insertInto('identity_factor_ceremony').values(row).execute();
}

export interface CeremonyKey {
  readonly id: string;
  readonly session: string;
  readonly purpose: CeremonyPurpose;
}

export async function findCeremony(db: Queries, key: CeremonyKey, now: Date): Promise<CeremonyRow | undefined> {
  return factorTables(db)
    .selectFrom('identity_factor_ceremony')
    .selectAll()
    .where('id', '=', key.id)
    .where('session', '=', key.session)
    .where('purpose', '=', key.purpose)
    .where('expires_at', '>', now)
    .executeTakeFirst();
}

/** Takes it away; false where it was never begun here, is over, or another has taken it. */
export async function takeCeremony(db: Queries, key: CeremonyKey, now: Date): Promise<boolean> {
  const { numDeletedRows } = await factorTables(db)
    .deleteFrom('identity_factor_ceremony')
    .where('id', '=', key.id)
    .where('session', '=', key.session)
    .where('purpose', '=', key.purpose)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

export type Try =
  | { readonly allowed: true; readonly tries: number; readonly blockedUntil: Date | null }
  | { readonly allowed: false; readonly blockedUntil: Date };

/**
 * Counts a try before it is looked at, so that tries at the same moment on several replicas are all counted. From the fifth on the wait stands
 * at once; a right code takes it away (clearTries).
 */
export async function countTry(db: Queries, subject: string, now: Date): Promise<Try> {
  const counted = await sql<{ tries: number; blocked_until: Date | null }>`
    insert into identity_factor_try as t (subject, tries, blocked_until) values (${subject}, 1, null)
    on conflict (subject) do update set tries = t.tries + 1,
      blocked_until = case when t.tries + 1 >= ${FREE_TRIES} then ${now}::timestamptz
        + least(${LONGEST_WAIT_SECONDS}, ${FIRST_WAIT_SECONDS} * power(2, least(t.tries + 1 - ${FREE_TRIES}, 20))) * interval '1 second' end
    where t.blocked_until is null or t.blocked_until <= ${now}
    returning tries, blocked_until`.execute(db);
  const row = counted.rows[0];
  if (row !== undefined) return { allowed: true, tries: row.tries, blockedUntil: row.blocked_until };
  const blocked = await factorTables(db)
    .selectFrom('identity_factor_try')
    .select('blocked_until')
    .where('subject', '=', subject)
    .executeTakeFirst();
  return { allowed: false, blockedUntil: blocked?.blocked_until ?? now };
}

export async function clearTries(trx: TransactionQueries, subject: string): Promise<void> {
  await factorTables(trx).deleteFrom('identity_factor_try').where('subject', '=', subject).execute();
}
