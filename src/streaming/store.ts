/**
 * SQL of streams and nodes. Every change of what a node must hold moves that node's version in the same transaction:
 * the version is what its agent waits on.
 */
import type { Queries } from '../database/index.ts';
import type { LeaseTerms, Observed, Stream } from './stream.ts';
import { type NodeRow, type StreamRow, tables } from './tables-store.ts';

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
    requestId: row.request_id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    releaseRequestedAt: row.release_requested_at,
    releaseReason: row.release_reason,
    releasedAt: row.released_at,
    observed: row.observed === null ? null : (JSON.parse(row.observed) as Observed),
    observedAt: row.observed_at,
    notice: row.notice,
  };
}

/** Makes sure that every node of the facility has its row; resolves to those that had none. */
export async function registerNodes(db: Queries, names: readonly string[]): Promise<readonly string[]> {
  if (names.length === 0) return [];
  const rows = names.map((name) => ({
    name,
    version: 1,
    applied_version: 0,
    claim_url: null,
    last_seen_at: null,
    engines: null,
  }));
  const added = await tables(db)
    .insertInto('streaming_node')
    .values(rows)
    .onConflict((c) => c.column('name').doNothing())
    .returning('name')
    .execute();
  return added.map((row) => row.name);
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

/** What the node's host can run; undefined: it has not said. */
export const enginesOf = (row: NodeRow): readonly string[] | undefined =>
  row.engines === null ? undefined : (JSON.parse(row.engines) as string[]);

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
  node: {
    readonly name: string;
    readonly at: Date;
    readonly appliedVersion: number;
    readonly claimUrl: string;
    readonly engines: readonly string[] | undefined;
  },
): Promise<void> {
  await tables(db)
    .updateTable('streaming_node')
    .set({
      last_seen_at: node.at,
      applied_version: node.appliedVersion,
      claim_url: node.claimUrl,
      engines: node.engines === undefined ? null : JSON.stringify(node.engines),
    })
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
      request_id: stream.requestId,
      key,
      created_at: stream.createdAt,
      expires_at: stream.expiresAt,
      release_requested_at: null,
      release_reason: '',
      released_at: null,
      observed: null,
      observed_at: null,
      notice: stream.notice,
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

/** Nobody else changes it until the transaction ends. */
export async function lockStream(trx: Queries, id: string): Promise<Stream | undefined> {
  const row = await tables(trx)
    .selectFrom('streaming_stream')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? undefined : streamFrom(row);
}

/** Terms, parameters and end of life of a stream that the caller has locked. */
export async function saveTerms(
  trx: Queries,
  { id, lease, parameters, expiresAt }: Pick<Stream, 'id' | 'lease' | 'parameters' | 'expiresAt'>,
): Promise<void> {
  await tables(trx)
    .updateTable('streaming_stream')
    .set({ lease: JSON.stringify(lease), parameters: JSON.stringify(parameters), expires_at: expiresAt })
    .where('id', '=', id)
    .execute();
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
  readonly environments?: readonly string[];
  readonly released: boolean;
  readonly before?: string;
  readonly limit: number;
}

/** Newest first. `before` is the last id of the page before. */
export async function streamsPage(db: Queries, page: StreamPage): Promise<readonly Stream[]> {
  if (page.environments?.length === 0) return [];
  let query = tables(db)
    .selectFrom('streaming_stream')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (page.environments !== undefined) query = query.where('environment', 'in', page.environments);
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

/** False where it was said, or its life was changed, meanwhile. */
export async function noteNotice(
  trx: Queries,
  stream: Pick<Stream, 'id' | 'expiresAt' | 'notice'>,
  notice: string | null,
): Promise<boolean> {
  const row = await tables(trx)
    .updateTable('streaming_stream')
    .set({ notice })
    .where('id', '=', stream.id)
    .where('expires_at', '=', stream.expiresAt)
    .where('notice', stream.notice === null ? 'is' : '=', stream.notice)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Those of them that exist, released or not. */
export async function streamsById(db: Queries, ids: readonly string[]): Promise<ReadonlyMap<string, Stream>> {
  if (ids.length === 0) return new Map();
  const rows = await tables(db).selectFrom('streaming_stream').selectAll().where('id', 'in', ids).execute();
  return new Map(rows.map((row) => [row.id, streamFrom(row)]));
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
