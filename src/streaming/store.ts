/**
 * The only SQL of the room `streaming`. Every change of what a node must hold moves that node's version in the same transaction:
 * the version is what its agent waits on.
 */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import type { Claim, Credential, LeaseTerms, Observed, Stream, StreamRole } from './stream.ts';

type StreamRow = {
  id: string;
  project: string;
  environment: string;
  name: string;
  template: string;
  parameters: string;
  lease: string;
  node: string;
  created_by: string;
  key: string | null;
  created_at: Date;
  expires_at: Date;
  release_requested_at: Date | null;
  release_reason: string;
  released_at: Date | null;
  observed: string | null;
  observed_at: Date | null;
};

type SecretRow = {
  id: string;
  stream: string;
  role: StreamRole;
  issued_to: string;
  digest: string;
  expires_at: Date;
  revoked_at: Date | null;
};

type NodeRow = {
  name: string;
  version: number;
  applied_version: number;
  claim_url: string | null;
  last_seen_at: Date | null;
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
};

const tables = (db: Queries) => db.withTables<StreamingTables>();

function streamFrom(row: StreamRow): Stream {
  return {
    id: row.id,
    project: row.project,
    environment: row.environment,
    name: row.name,
    template: row.template,
    parameters: JSON.parse(row.parameters) as Record<string, unknown>,
    lease: JSON.parse(row.lease) as LeaseTerms,
    node: row.node,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    releaseRequestedAt: row.release_requested_at,
    releaseReason: row.release_reason,
    releasedAt: row.released_at,
    observed: row.observed === null ? null : (JSON.parse(row.observed) as Observed),
    observedAt: row.observed_at,
  };
}

/** Makes sure that every node of the facility has its row. */
export async function registerNodes(db: Queries, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const rows = names.map((name) => ({ name, version: 1, applied_version: 0, claim_url: null, last_seen_at: null }));
  await tables(db)
    .insertInto('streaming_node')
    .values(rows)
    .onConflict((c) => c.column('name').doNothing())
    .execute();
}

/** What the node must hold has changed; call it in the transaction of the change. Resolves to the new version. */
export async function moveVersion(trx: Queries, node: string): Promise<number> {
  const row = await tables(trx)
    .updateTable('streaming_node')
    .set((e) => ({ version: e('version', '+', 1) }))
    .where('name', '=', node)
    .returning('version')
    .executeTakeFirstOrThrow();
  return row.version;
}

export async function nodeRows(db: Queries): Promise<readonly NodeRow[]> {
  return tables(db).selectFrom('streaming_node').selectAll().orderBy('name').execute();
}

export async function nodeRow(db: Queries, name: string): Promise<NodeRow | undefined> {
  return tables(db).selectFrom('streaming_node').selectAll().where('name', '=', name).executeTakeFirst();
}

/** Locks the nodes, so that two placements cannot both take the last room. */
export async function lockNodes(trx: Queries): Promise<void> {
  await tables(trx).selectFrom('streaming_node').select('name').orderBy('name').forUpdate().execute();
}

export async function nodeSeen(
  db: Queries,
  node: { readonly name: string; readonly at: Date; readonly appliedVersion: number; readonly claimUrl: string },
): Promise<void> {
  await tables(db)
    .updateTable('streaming_node')
    .set({ last_seen_at: node.at, applied_version: node.appliedVersion, claim_url: node.claimUrl })
    .where('name', '=', node.name)
    .execute();
}

/** False where a stream with this key exists already. */
export async function insertStream(trx: Queries, stream: Stream, key: string | null): Promise<boolean> {
  const row = await tables(trx)
    .insertInto('streaming_stream')
    .values({
      id: stream.id,
      project: stream.project,
      environment: stream.environment,
      name: stream.name,
      template: stream.template,
      parameters: JSON.stringify(stream.parameters),
      lease: JSON.stringify(stream.lease),
      node: stream.node,
      created_by: stream.createdBy,
      key,
      created_at: stream.createdAt,
      expires_at: stream.expiresAt,
      release_requested_at: null,
      release_reason: '',
      released_at: null,
      observed: null,
      observed_at: null,
    })
    .onConflict((c) => c.constraint('one_stream_per_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function streamById(db: Queries, id: string): Promise<Stream | undefined> {
  const row = await tables(db).selectFrom('streaming_stream').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : streamFrom(row);
}

export async function streamByKey(db: Queries, project: string, key: string): Promise<Stream | undefined> {
  const row = await tables(db)
    .selectFrom('streaming_stream')
    .selectAll()
    .where('project', '=', project)
    .where('key', '=', key)
    .executeTakeFirst();
  return row === undefined ? undefined : streamFrom(row);
}

export interface StreamPage {
  readonly project?: string;
  readonly released: boolean;
  readonly before?: string;
  readonly limit: number;
}

/** Newest first. `before` is the last id of the page before. */
export async function streamsPage(db: Queries, page: StreamPage): Promise<readonly Stream[]> {
  let query = tables(db)
    .selectFrom('streaming_stream')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (!page.released) query = query.where('released_at', 'is', null);
  const before = page.before;
  if (before !== undefined) {
    query = query.where((e) =>
      e(
        e.refTuple('created_at', 'id'),
        '<',
        e
          .selectFrom('streaming_stream as last')
          .select(['last.created_at', 'last.id'])
          .where('last.id', '=', before)
          .$asTuple('created_at', 'id'),
      ),
    );
  }
  return (await query.execute()).map(streamFrom);
}

/** Streams that their node still holds or must hold. */
export async function liveStreams(db: Queries, node?: string): Promise<readonly Stream[]> {
  let query = tables(db).selectFrom('streaming_stream').selectAll().where('released_at', 'is', null).orderBy('id');
  if (node !== undefined) query = query.where('node', '=', node);
  return (await query.execute()).map(streamFrom);
}

/**
 * Lets a stream and the claims on it live until then, or longer where they do already: a job attached to it must not lose its credential
 * when only the first life is over. Resolves to the end of life; undefined where release was asked for.
 */
export async function extendLife(trx: Queries, id: string, until: Date): Promise<Date | undefined> {
  const row = await tables(trx)
    .updateTable('streaming_stream')
    .set((e) => ({ expires_at: e.fn<Date>('greatest', ['expires_at', e.val(until)]) }))
    .where('id', '=', id)
    .where('release_requested_at', 'is', null)
    .returning('expires_at')
    .executeTakeFirst();
  if (row === undefined) return undefined;
  await tables(trx)
    .updateTable('streaming_claim')
    .set({ expires_at: row.expires_at })
    .where('stream', '=', id)
    .execute();
  return row.expires_at;
}

/** False where release was asked for already. */
export async function requestRelease(
  trx: Queries,
  id: string,
  release: { readonly at: Date; readonly reason: string },
): Promise<boolean> {
  const row = await tables(trx)
    .updateTable('streaming_stream')
    .set({ release_requested_at: release.at, release_reason: release.reason })
    .where('id', '=', id)
    .where('release_requested_at', 'is', null)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function saveObservation(db: Queries, observed: Observed, at: Date): Promise<void> {
  await tables(db)
    .updateTable('streaming_stream')
    .set({ observed: JSON.stringify(observed), observed_at: at })
    .where('id', '=', observed.stream)
    .execute();
}

export async function markReleased(db: Queries, ids: readonly string[], at: Date): Promise<readonly string[]> {
  if (ids.length === 0) return [];
  const rows = await tables(db)
    .updateTable('streaming_stream')
    .set({ released_at: at })
    .where('id', 'in', ids)
    .where('released_at', 'is', null)
    .returning('id')
    .execute();
  return rows.map((r) => r.id);
}

export async function insertCredential(trx: Queries, c: Credential): Promise<void> {
  await tables(trx)
    .insertInto('streaming_credential')
    .values({
      id: c.id,
      stream: c.stream,
      role: c.role,
      username: c.username,
      digest: c.passwordDigest,
      issued_to: c.issuedTo,
      expires_at: c.expiresAt,
      revoked_at: null,
    })
    .execute();
}

/** A job's claims on a stream are replaced whole: a repeated submission must not leave the old secret valid. */
export async function replaceClaims(trx: Queries, job: string, claims: readonly Claim[]): Promise<void> {
  await tables(trx).deleteFrom('streaming_claim').where('job', '=', job).execute();
  if (claims.length === 0) return;
  await tables(trx)
    .insertInto('streaming_claim')
    .values(
      claims.map((c) => ({
        id: c.id,
        stream: c.stream,
        role: c.role,
        job: c.job,
        digest: c.secretDigest,
        issued_to: c.issuedTo,
        expires_at: c.expiresAt,
        revoked_at: c.revokedAt,
      })),
    )
    .execute();
}

export async function secretsOf(
  db: Queries,
  streams: readonly string[],
  now: Date,
): Promise<{ readonly credentials: readonly Credential[]; readonly claims: readonly Claim[] }> {
  if (streams.length === 0) return { credentials: [], claims: [] };
  const credentials = await tables(db)
    .selectFrom('streaming_credential')
    .selectAll()
    .where('stream', 'in', streams)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .execute();
  const claims = await tables(db)
    .selectFrom('streaming_claim')
    .selectAll()
    .where('stream', 'in', streams)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .execute();
  return {
    credentials: credentials.map((r) => ({
      id: r.id,
      stream: r.stream,
      role: r.role,
      username: r.username,
      passwordDigest: r.digest,
      issuedTo: r.issued_to,
      expiresAt: r.expires_at,
      revokedAt: r.revoked_at,
    })),
    claims: claims.map((r) => ({
      id: r.id,
      stream: r.stream,
      role: r.role,
      job: r.job,
      secretDigest: r.digest,
      issuedTo: r.issued_to,
      expiresAt: r.expires_at,
      revokedAt: r.revoked_at,
    })),
  };
}

/** Revokes all that a bearer obtained; resolves to the nodes that must be told. */
export async function revokeIssuedTo(trx: Queries, bearer: string, at: Date): Promise<readonly string[]> {
  const credentials = await tables(trx)
    .updateTable('streaming_credential')
    .set({ revoked_at: at })
    .where('issued_to', '=', bearer)
    .where('revoked_at', 'is', null)
    .returning('stream')
    .execute();
  const claims = await tables(trx)
    .updateTable('streaming_claim')
    .set({ revoked_at: at })
    .where('issued_to', '=', bearer)
    .where('revoked_at', 'is', null)
    .returning('stream')
    .execute();
  const streams = [...new Set([...credentials, ...claims].map((r) => r.stream))];
  if (streams.length === 0) return [];
  const nodes = await tables(trx)
    .selectFrom('streaming_stream')
    .select('node')
    .distinct()
    .where('id', 'in', streams)
    .where('released_at', 'is', null)
    .execute();
  return nodes.map((r) => r.node);
}
