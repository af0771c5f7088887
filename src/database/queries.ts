/** What a room's store is given: the pool's Kysely or a transaction of it, to be seen with the room's own tables. Owns no state. */
import type { Kysely, Transaction } from 'kysely';
import type { NoTables } from './connect.ts';

/** `db.withTables<MyTables>()` gives the builders; a Transaction is one too. */
export type Queries = Kysely<NoTables>;
/** Queries that are one transaction: what `emit` and other changes that belong together take. */
export type TransactionQueries = Transaction<NoTables>;
