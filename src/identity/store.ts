/** Bearers as rows: each is inserted once, found by its digest or its id, held or locked while something depends on it, and given another end. */
import type { Queries, TransactionQueries } from '../database/index.ts';
import type { Role } from './caller.ts';
import { moveEpoch } from './epoch-store.ts';
import type { Scope } from './scope.ts';
import { type TokenRow, identityTables as tables } from './tables-store.ts';
import type { Token } from './token.ts';
import type { BearerKind } from './token-text.ts';

export function tokenFrom(row: TokenRow): Token {
  return {
    id: row.id,
    kind: row.kind,
    subject: row.subject,
    description: row.description,
    parent: row.parent,
    depth: row.depth,
    project: row.project,
    enclave: row.enclave,
    environments: row.environments,
    scopes: row.scopes as Scope[],
    roles: row.roles as Role[],
    purpose: row.purpose,
    classification: row.classification,
    sources: row.sources,
    maxUses: row.max_uses,
    uses: row.uses,
    reservedUses: row.reserved_uses,
    lifetimeSeconds: row.lifetime_seconds,
    renewableUntil: row.renewable_until,
    replaces: row.replaces,
    methods: row.methods,
    factorAt: row.factor_at,
    browser: row.browser,
    createdAt: row.created_at,
    createdBy: row.created_by,
    notBefore: row.not_before,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    revokedBy: row.revoked_by,
  };
}

export async function insertToken(db: Queries, token: Token, digest: Buffer): Promise<void> {
  await tables(db)
    .insertInto('identity_token')
    .values({
      id: token.id,
      kind: token.kind,
      digest,
      subject: token.subject,
      description: token.description,
      parent: token.parent,
      depth: token.depth,
      project: token.project,
      enclave: token.enclave,
      environments: [...token.environments],
      scopes: [...token.scopes],
      roles: [...token.roles],
      purpose: token.purpose,
      classification: token.classification,
      sources: [...token.sources],
      max_uses: token.maxUses,
      uses: token.uses,
      reserved_uses: token.reservedUses,
      lifetime_seconds: token.lifetimeSeconds,
      renewable_until: token.renewableUntil,
      replaces: token.replaces,
      methods: [...token.methods],
      factor_at: token.factorAt,
      browser: token.browser,
      created_at: token.createdAt,
      created_by: token.createdBy,
      not_before: token.notBefore,
      expires_at: token.expiresAt,
      revoked_at: null,
      revoked_by: null,
    })
    .execute();
}

export async function tokenByDigest(db: Queries, digest: Buffer): Promise<Token | undefined> {
  const row = await tables(db).selectFrom('identity_token').selectAll().where('digest', '=', digest).executeTakeFirst();
  return row === undefined ? undefined : tokenFrom(row);
}

export async function tokenById(db: Queries, id: string): Promise<Token | undefined> {
  const row = await tables(db).selectFrom('identity_token').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : tokenFrom(row);
}

export interface TokenPage {
  readonly project?: string;
  readonly kind?: BearerKind;
  readonly after?: string;
  readonly limit: number;
}

/** Ordered by id; `after` is the last id of the page before. */
export async function tokensPage(db: Queries, page: TokenPage): Promise<readonly Token[]> {
  let query = tables(db).selectFrom('identity_token').selectAll().orderBy('id').limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (page.kind !== undefined) query = query.where('kind', '=', page.kind);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return (await query.execute()).map(tokenFrom);
}

/** The token, its row held so that it cannot be revoked before the caller's transaction ends. */
export async function holdToken(trx: TransactionQueries, id: string): Promise<Token | undefined> {
  const row = await tables(trx)
    .selectFrom('identity_token')
    .selectAll()
    .where('id', '=', id)
    .forShare()
    .executeTakeFirst();
  return row === undefined ? undefined : tokenFrom(row);
}

/** The token, its row held so that nobody else changes or holds it before the caller's transaction ends. Parents are taken before children. */
export async function lockToken(trx: TransactionQueries, id: string): Promise<Token | undefined> {
  const row = await tables(trx)
    .selectFrom('identity_token')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row === undefined ? undefined : tokenFrom(row);
}

/**
 * Another end of life, and perhaps another end of renewal, for a token that the transaction has locked. The epoch moves where the token loses something. A later end
 * takes nothing from anybody: whoever remembers the old one looks again when that is over (verify-token.ts), and a renewal costs no replica its memory.
 */
export async function setTokenEnd(
  trx: TransactionQueries,
  locked: Pick<Token, 'id' | 'expiresAt'>,
  end: { readonly expiresAt: Date; readonly lifetimeSeconds?: number; readonly renewableUntil?: null },
): Promise<void> {
  await tables(trx)
    .updateTable('identity_token')
    .set({
      expires_at: end.expiresAt,
      ...(end.lifetimeSeconds === undefined ? {} : { lifetime_seconds: end.lifetimeSeconds }),
      ...(end.renewableUntil === undefined ? {} : { renewable_until: end.renewableUntil }),
    })
    .where('id', '=', locked.id)
    .execute();
  if (end.expiresAt < locked.expiresAt || end.renewableUntil !== undefined) await moveEpoch(trx);
}

/** The children of `from` are from here on those of `to`. */
export async function moveChildren(trx: TransactionQueries, from: string, to: string): Promise<void> {
  await tables(trx).updateTable('identity_token').set({ parent: to }).where('parent', '=', from).execute();
}

/** Whether another value took the place of this one. */
export async function replacementOf(trx: Queries, id: string): Promise<string | undefined> {
  const row = await tables(trx).selectFrom('identity_token').select('id').where('replaces', '=', id).executeTakeFirst();
  return row?.id;
}
