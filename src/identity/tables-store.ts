/** The tables of bearers and of the revocation epoch, and every migration of the room `identity` in one record. Owns no state. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import { authorityMigrations } from './authority/authority-store.ts';
import type { Classification } from './caller.ts';
import { exchangeMigrations } from './exchange/exchange-store.ts';
import { lockdownMigrations } from './lockdown/lockdown-store.ts';
import { deviceLoginMigrations } from './login/device-login-store.ts';
import { loginMigrations } from './login/login-store.ts';
import { noticeMigrations } from './notices/notice-store.ts';
import { peopleMigrations } from './people/people-store.ts';
import { sourceMigrations } from './people/source-store.ts';
import { factorMigrations } from './second-factor/factor-tables-store.ts';
import { signingKeyMigrations } from './signing-key/signing-key-store.ts';
import type { BearerKind } from './token-text.ts';
import { tokenUseMigrations } from './token-use-store.ts';

export type TokenRow = {
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

export type IdentityTables = {
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
  ...authorityMigrations,
};

/** Any connection or transaction, seen with these tables. */
export const identityTables = (db: Queries) => db.withTables<IdentityTables>();
