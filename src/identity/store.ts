/** The only SQL of the room `identity`: bearers by digest, and the epoch that every revocation moves. */
import { type Kysely, sql } from 'kysely';
import { type Queries, type RoomMigration, type TransactionQueries, transaction } from '../database/index.ts';
import type { Classification, Role } from './caller.ts';
import { exchangeMigrations } from './exchange/exchange-store.ts';
import { lockdownMigrations } from './lockdown/lockdown-store.ts';
import { deviceLoginMigrations } from './login/device-login-store.ts';
import { loginMigrations } from './login/login-store.ts';
import { noticeMigrations } from './notices/notice-store.ts';
import { peopleMigrations } from './people/people-store.ts';
import { sourceMigrations } from './people/source-store.ts';
import type { Scope } from './scope.ts';
import { factorMigrations } from './second-factor/factor-tables-store.ts';
import { signingKeyMigrations } from './signing-key/signing-key-store.ts';
import type { Token } from './token.ts';
import type { BearerKind } from './token-text.ts';
import { tokenUseMigrations } from './token-use-store.ts';

type TokenRow = {
  id: string;
  kind: BearerKind;
  digest: Buffer;
  subject: string;
  description: string;
  parent: string | null;
  depth: number;
  project: string | null;
  enclave: 'open' | 'moderate' | null;
  environments: string[];
  scopes: string[];
  roles: string[];
  purpose: string;
  classification: Classification;
  sources: string[];
  max_uses: number | null;
  uses: number;
  reserved_uses: number;
  lifetime_seconds: number;
  renewable_until: Date | null;
  replaces: string | null;
  methods: string[];
  factor_at: Date | null;
  browser: Buffer | null;
  created_at: Date;
  created_by: string;
  not_before: Date;
  expires_at: Date;
  revoked_at: Date | null;
  revoked_by: string | null;
};

type IdentityTables = {
  identity_token: TokenRow;
  identity_epoch: { only_row: boolean; value: number; lockdown_at: Date | null };
};

export const identityMigrations: Record<string, RoomMigration> = {
  '001-token': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_token')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('kind', 'text', (c) => c.notNull().check(sql`kind in ('token', 'session', 'node')`))
        .addColumn('digest', 'bytea', (c) => c.notNull().unique())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('description', 'text', (c) => c.notNull())
        .addColumn('project', 'text')
        .addColumn('enclave', 'text', (c) => c.check(sql`enclave in ('open', 'moderate')`))
        .addColumn('environments', sql`text[]`, (c) => c.notNull())
        .addColumn('scopes', sql`text[]`, (c) => c.notNull())
        .addColumn('roles', sql`text[]`, (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('created_by', 'text', (c) => c.notNull())
        .addColumn('not_before', 'timestamptz', (c) => c.notNull())
        .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
        .addColumn('revoked_at', 'timestamptz')
        .addColumn('revoked_by', 'text')
        .addCheckConstraint(
          'a_token_has_a_project',
          sql`kind <> 'token' or (project is not null and enclave is not null)`,
        )
        .execute();
      await db.schema.createIndex('identity_token_project').on('identity_token').columns(['project', 'id']).execute();
      await db.schema
        .createTable('identity_epoch')
        .addColumn('only_row', 'boolean', (c) => c.primaryKey().check(sql`only_row`))
        .addColumn('value', 'bigint', (c) => c.notNull())
        .execute();
      await sql`insert into identity_epoch (only_row, value) values (true, 1)`.execute(db);
    },
  },
  '002-delegation': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .alterTable('identity_token')
        .addColumn('parent', 'text', (c) => c.references('identity_token.id'))
        .addColumn('depth', 'integer', (c) => c.notNull().defaultTo(0))
        .execute();
      await db.schema.createIndex('identity_token_parent').on('identity_token').column('parent').execute();
    },
  },
  '003-token-attributes': {
    async up(db: Kysely<never>): Promise<void> {
      const none = sql`'{}'`;
      await db.schema
        .alterTable('identity_token')
        .addColumn('purpose', 'text', (c) => c.notNull().defaultTo(''))
        .addColumn('classification', 'text', (c) =>
          c.notNull().defaultTo('public').check(sql`classification in ('public', 'proprietary', 'controlled')`),
        )
        .addColumn('sources', sql`text[]`, (c) => c.notNull().defaultTo(none))
        .addColumn('max_uses', 'bigint', (c) => c.check(sql`max_uses > 0`))
        .addColumn('uses', 'bigint', (c) => c.notNull().defaultTo(0))
        .addColumn('renewable_until', 'timestamptz')
        .addColumn('replaces', 'text', (c) => c.references('identity_token.id'))
        .addColumn('methods', sql`text[]`, (c) => c.notNull().defaultTo(none))
        .addColumn('factor_at', 'timestamptz')
        .addColumn('browser', 'bytea')
        .execute();
      await sql`alter table identity_token add constraint uses_within_bounds check (max_uses is null or uses <= max_uses)`.execute(
        db,
      );
      await db.schema.alterTable('identity_epoch').addColumn('lockdown_at', 'timestamptz').execute();
    },
  },
  ...tokenUseMigrations,
  ...factorMigrations,
  ...lockdownMigrations,
  ...loginMigrations,
  ...deviceLoginMigrations,
  ...peopleMigrations,
  ...sourceMigrations,
  ...noticeMigrations,
  ...signingKeyMigrations,
  ...exchangeMigrations,
};

function tokenFrom(row: TokenRow): Token {
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

const tables = (db: Queries) => db.withTables<IdentityTables>();

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

/**
 * What a revocation of `id` takes: the token, all that was delegated from it, and the values that replaced it or that it replaced (one token in
 * several values is one token). Parents before children.
 */
export async function tokenSubtree(db: Queries, id: string): Promise<readonly Token[]> {
  const { rows } = await sql<{ id: string }>`
    with recursive lineage(id, replaces) as (
      select id, replaces from identity_token where id = ${id}
      union
      select t.id, t.replaces from identity_token t
        join lineage l on t.parent = l.id or t.replaces = l.id or t.id = l.replaces
    ) select id from lineage`.execute(db);
  if (rows.length === 0) return [];
  const ids = rows.map((r) => r.id);
  const found = await tables(db)
    .selectFrom('identity_token')
    .selectAll()
    .where('id', 'in', ids)
    .orderBy('depth')
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return found.map(tokenFrom);
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

/** Another end of life, and perhaps another end of renewal; the epoch moves, so that every replica reads it anew. */
export async function setTokenEnd(
  trx: TransactionQueries,
  id: string,
  end: { readonly expiresAt: Date; readonly lifetimeSeconds?: number; readonly renewableUntil?: null },
): Promise<void> {
  await tables(trx)
    .updateTable('identity_token')
    .set({
      expires_at: end.expiresAt,
      ...(end.lifetimeSeconds === undefined ? {} : { lifetime_seconds: end.lifetimeSeconds }),
      ...(end.renewableUntil === undefined ? {} : { renewable_until: end.renewableUntil }),
    })
    .where('id', '=', id)
    .execute();
  await moveEpoch(trx);
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

/**
 * Marks the bearer and everything delegated from it revoked, and moves the epoch, in one transaction, with `alongside` (the outbox row of
 * each) in the same one. Resolves to the token as it now is, or undefined where there is none. A second revocation changes nothing.
 */
export function revokeTokenRow(
  db: Queries,
  revocation: Revocation,
  alongside: (trx: TransactionQueries, token: Token) => Promise<void>,
): Promise<Token | undefined> {
  return transaction(db, (trx) => revokeTokenRowIn(trx, revocation, alongside));
}

export interface Revocation {
  readonly id: string;
  readonly at: Date;
  readonly by: string;
}

/** The same within a transaction that changes more than that. */
export async function revokeTokenRowIn(
  trx: TransactionQueries,
  revocation: Revocation,
  alongside: (trx: TransactionQueries, token: Token) => Promise<void>,
): Promise<Token | undefined> {
  let any = false;
  for (;;) {
    // A child delegated meanwhile is seen by the next pass: whoever delegates holds the parent's row, and then finds it revoked.
    const ids = (await tokenSubtree(trx, revocation.id)).filter((t) => t.revokedAt === null).map((t) => t.id);
    if (ids.length === 0) break;
    // One order for everybody who takes more than one row: whoever delegates, renews or rotates takes the parent's first.
    await tables(trx)
      .selectFrom('identity_token')
      .select('id')
      .where('id', 'in', ids)
      .orderBy('depth')
      .orderBy('created_at')
      .orderBy('id')
      .forUpdate()
      .execute();
    const changed = await tables(trx)
      .updateTable('identity_token')
      .set({ revoked_at: revocation.at, revoked_by: revocation.by })
      .where('id', 'in', ids)
      .where('revoked_at', 'is', null)
      .returningAll()
      .execute();
    for (const row of changed) await alongside(trx, tokenFrom(row));
    any = true;
  }
  if (any) await moveEpoch(trx);
  return tokenById(trx, revocation.id);
}

/** What every replica reads several times a second: the epoch that empties its caches, and whether the facility is locked down. */
export interface Epoch {
  readonly value: number;
  readonly lockdownAt: Date | null;
}

export async function readEpoch(db: Queries): Promise<Epoch> {
  const row = await tables(db).selectFrom('identity_epoch').select(['value', 'lockdown_at']).executeTakeFirstOrThrow();
  return { value: row.value, lockdownAt: row.lockdown_at };
}

/** Makes every replica forget what it knows of bearers within one reading; in the transaction that changed them. */
export async function moveEpoch(trx: TransactionQueries): Promise<void> {
  await tables(trx)
    .updateTable('identity_epoch')
    .set((e) => ({ value: e('value', '+', 1) }))
    .execute();
}
