/** SQL of credentials and claims: what lets a connection in. Only digests are stored. */
import type { Queries } from '../database/index.ts';
import type { Claim, Credential } from './stream.ts';
import { tables } from './tables-store.ts';

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

/** Where the bearers may be connected: the streams of all they obtained, when each was revoked. */
export async function secretsIssuedTo(
  db: Queries,
  bearers: readonly string[],
): Promise<readonly { readonly stream: string; readonly revokedAt: Date | null }[]> {
  if (bearers.length === 0) return [];
  const [credentials, claims] = await Promise.all(
    (['streaming_credential', 'streaming_claim'] as const).map((table) =>
      tables(db).selectFrom(table).select(['stream', 'revoked_at']).where('issued_to', 'in', bearers).execute(),
    ),
  );
  return [...(credentials ?? []), ...(claims ?? [])].map((r) => ({ stream: r.stream, revokedAt: r.revoked_at }));
}
