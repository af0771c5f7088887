/**
 * Writes all rows of all our tables into a folder, as of one moment: one REPEATABLE READ transaction, one gzip of COPY text per table. The system may run.
 * Timers (pg-boss) are no record and are left out, as are unlogged tables, which a crash empties too.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import type { DatabaseTarget } from '../connect.ts';
import { type DatabaseDump, DumpError } from './dump.ts';
import { ownerTransaction } from './owner-session.ts';

const SNAPSHOT = 'begin transaction isolation level repeatable read, read only';

/** `directory` must exist. Throws what PostgreSQL or the disk says; nothing in the database is changed. */
export function dumpDatabase(target: DatabaseTarget, directory: string): Promise<DatabaseDump> {
  return ownerTransaction(target, SNAPSHOT, async (client) => {
    const migrations = await names(client, 'select name from kysely_migration order by timestamp, name');
    const tables: DatabaseDump['tables'] = [];
    for (const name of await tablesInOrder(client)) tables.push(await dumpTable(client, name, directory));
    const partitions = await rows<DatabaseDump['partitions'][number]>(client, PARTITIONS);
    const sequences = await rows<DatabaseDump['sequences'][number]>(client, SEQUENCES);
    return { migrations, tables, partitions, sequences };
  });
}

const OURS =
  "n.nspname = 'public' and c.relpersistence = 'p' and c.relname not in ('kysely_migration', 'kysely_migration_lock')";

const PARTITIONS = `
  select c.relname as name, p.relname as parent, pg_get_expr(c.relpartbound, c.oid) as bound
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_inherits i on i.inhrelid = c.oid join pg_class p on p.oid = i.inhparent
  where c.relispartition and c.relkind in ('r', 'p') and ${OURS} order by c.relname`;

const SEQUENCES = `
  select quote_ident(schemaname) || '.' || quote_ident(sequencename) as name, last_value::text as last
  from pg_sequences where schemaname = 'public' and last_value is not null order by 1`;

const TABLES = `
  select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and ${OURS} order by c.relname`;

const REFERENCES = `
  select distinct c.relname as name, r.relname as wants
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class r on r.oid = k.confrelid
    join pg_namespace n on n.oid = c.relnamespace
  where k.contype = 'f' and c.oid <> r.oid and ${OURS}`;

const COLUMNS = `
  select attname as name from pg_attribute
  where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`;

/** What is referred to comes before what refers to it. Throws DumpError for tables that refer to each other in a circle. */
async function tablesInOrder(client: pg.Client): Promise<readonly string[]> {
  const left = new Set(await names(client, TABLES));
  const references = await rows<{ name: string; wants: string }>(client, REFERENCES);
  const order: string[] = [];
  while (left.size > 0) {
    const free = [...left].filter((name) => !references.some((r) => r.name === name && left.has(r.wants)));
    if (free.length === 0) throw new DumpError(`tables refer to each other in a circle: ${[...left].join(', ')}`);
    for (const name of free) left.delete(name);
    order.push(...free);
  }
  return order;
}

async function dumpTable(client: pg.Client, name: string, directory: string): Promise<DatabaseDump['tables'][number]> {
  const table = client.escapeIdentifier(name);
  const columns = await names(client, COLUMNS, [`public.${table}`]);
  const list = columns.map((c) => client.escapeIdentifier(c)).join(', ');
  const file = `${name}.copy.gz`;
  const hash = createHash('sha256');
  const digest = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  // A partitioned table is copied through a query; of a plain one this is the same text.
  const copy = client.query(copyTo(`copy (select ${list} from public.${table}) to stdout`));
  await pipeline(copy, createGzip({ level: 6 }), digest, createWriteStream(join(directory, file), { mode: 0o600 }));
  return { name, columns: [...columns], rows: copy.rowCount, file, sha256: hash.digest('hex') };
}

async function rows<T>(client: pg.Client, text: string): Promise<T[]> {
  return (await client.query(text)).rows as T[];
}

async function names(client: pg.Client, text: string, values: readonly string[] = []): Promise<string[]> {
  const found = await client.query(text, [...values]);
  return (found.rows as { readonly name: string }[]).map((r) => r.name);
}
