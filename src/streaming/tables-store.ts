/** The tables of the room `streaming` and how they came to be. The SQL on them is in store.ts and secret-store.ts. Owns no state. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import type { StreamRole } from './stream.ts';

export type StreamRow = {
  id: string;
  project: string;
  environment: string;
  name: string;
  template: string;
  parameters: string;
  lease: string;
  node: string;
  created_by: string;
  request_id: string;
  key: string | null;
  created_at: Date;
  expires_at: Date;
  release_requested_at: Date | null;
  release_reason: string;
  released_at: Date | null;
  observed: string | null;
  observed_at: Date | null;
  /** What was last said of its end of life; null: nothing. */
  notice: string | null;
};

export type SecretRow = {
  id: string;
  stream: string;
  role: StreamRole;
  issued_to: string;
  digest: string;
  expires_at: Date;
  revoked_at: Date | null;
};

export type NodeRow = {
  name: string;
  version: number;
  applied_version: number;
  claim_url: string | null;
  last_seen_at: Date | null;
  /** JSON list; null: it has not said. */
  engines: string | null;
};

type StreamingTables = {
  streaming_stream: StreamRow;
  streaming_credential: SecretRow & { username: string };
  streaming_claim: SecretRow & { job: string };
  streaming_node: NodeRow;
};

export const streamingMigrations: Record<string, RoomMigration> = {
  '001-stream': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('streaming_node')
        .addColumn('name', 'text', (c) => c.primaryKey())
        .addColumn('version', 'bigint', (c) => c.notNull())
        .addColumn('applied_version', 'bigint', (c) => c.notNull())
        .addColumn('claim_url', 'text')
        .addColumn('last_seen_at', 'timestamptz')
        .execute();
      await db.schema
        .createTable('streaming_stream')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('project', 'text', (c) => c.notNull())
        .addColumn('environment', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('template', 'text', (c) => c.notNull())
        .addColumn('parameters', 'text', (c) => c.notNull())
        .addColumn('lease', 'text', (c) => c.notNull())
        .addColumn('node', 'text', (c) => c.notNull().references('streaming_node.name'))
        .addColumn('created_by', 'text', (c) => c.notNull())
        .addColumn('key', 'text')
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
        .addColumn('release_requested_at', 'timestamptz')
        .addColumn('release_reason', 'text', (c) => c.notNull())
        .addColumn('released_at', 'timestamptz')
        .addColumn('observed', 'text')
        .addColumn('observed_at', 'timestamptz')
        .addUniqueConstraint('one_stream_per_key', ['project', 'key'])
        .execute();
      await sql`create index streaming_stream_live on streaming_stream (node) where released_at is null`.execute(db);
      const secret = (name: string) =>
        db.schema
          .createTable(name)
          .addColumn('id', 'text', (c) => c.primaryKey())
          .addColumn('stream', 'text', (c) => c.notNull().references('streaming_stream.id'))
          .addColumn('role', 'text', (c) => c.notNull().check(sql`role in ('producer', 'consumer')`))
          .addColumn('issued_to', 'text', (c) => c.notNull())
          .addColumn('digest', 'text', (c) => c.notNull())
          .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
          .addColumn('revoked_at', 'timestamptz');
      await secret('streaming_credential')
        .addColumn('username', 'text', (c) => c.notNull().unique())
        .execute();
      await secret('streaming_claim')
        .addColumn('job', 'text', (c) => c.notNull())
        .execute();
      for (const table of ['streaming_credential', 'streaming_claim']) {
        await db.schema.createIndex(`${table}_stream`).on(table).column('stream').execute();
        await db.schema.createIndex(`${table}_issued`).on(table).column('issued_to').execute();
      }
    },
  },
  '002-request': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .alterTable('streaming_stream')
        .addColumn('request_id', 'text', (c) => c.notNull().defaultTo(''))
        .execute();
    },
  },
  '003-engines': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema.alterTable('streaming_node').addColumn('engines', 'text').execute();
    },
  },
  '004-notice': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema.alterTable('streaming_stream').addColumn('notice', 'text').execute();
    },
  },
};

export const tables = (db: Queries) => db.withTables<StreamingTables>();
