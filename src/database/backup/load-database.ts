/**
 * Puts a dump's rows into a database that has the same schema and nothing of its own: all of it or nothing, in one transaction. What migrations had put
 * into the tables gives way to the dump's.
 */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { DatabaseTarget } from '../connect.ts';
import { type DatabaseDump, DumpError } from './dump.ts';
import { ownerTransaction } from './owner-session.ts';

/** Throws DumpError where the schema is another one, or a table takes another number of rows than were dumped. The files' digests are the caller's to check. */
export function loadDatabase(target: DatabaseTarget, dump: DatabaseDump, directory: string): Promise<void> {
  return ownerTransaction(target, 'begin', async (client) => {
    await checkSchema(client, dump);
    const quoted = (name: string): string => `public.${client.escapeIdentifier(name)}`;
    await client.query(`truncate ${dump.tables.map((t) => quoted(t.name)).join(', ')}`);
    await makePartitions(client, dump, quoted);
    for (const table of dump.tables) {
      const list = table.columns.map((c) => client.escapeIdentifier(c)).join(', ');
      const copy = client.query(copyFrom(`copy ${quoted(table.name)} (${list}) from stdin`));
      await pipeline(createReadStream(join(directory, table.file)), createGunzip(), copy);
      if (copy.rowCount !== table.rows)
        throw new DumpError(`${table.name}: ${copy.rowCount} rows were taken, ${table.rows} were dumped`);
    }
    for (const { name, last } of dump.sequences) await client.query('select setval($1::regclass, $2)', [name, last]);
  });
}

async function checkSchema(client: pg.Client, dump: DatabaseDump): Promise<void> {
  const { rows } = await client.query('select name from kysely_migration');
  const here = new Set((rows as { readonly name: string }[]).map((r) => r.name));
  const missing = dump.migrations.filter((name) => !here.has(name));
  const more = [...here].filter((name) => !dump.migrations.includes(name));
  if (missing.length > 0)
    throw new DumpError(`the backup is of a newer release: this one does not know ${missing.join(', ')}`);
  if (more.length > 0)
    throw new DumpError(
      `the backup is of an older release without ${more.join(', ')}: restore it with that release, then upgrade`,
    );
}

/** A partition that migrations made for today would overlap those of then. */
async function makePartitions(client: pg.Client, dump: DatabaseDump, quoted: (name: string) => string): Promise<void> {
  for (const parent of new Set(dump.partitions.map((p) => p.parent))) {
    const { rows } = await client.query(
      'select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass',
      [quoted(parent)],
    );
    for (const { name } of rows as { readonly name: string }[]) await client.query(`drop table ${quoted(name)}`);
  }
  for (const { name, parent, bound } of dump.partitions)
    await client.query(`create table ${quoted(name)} partition of ${quoted(parent)} ${bound}`);
}
