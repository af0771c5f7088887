/** The tables of second factors: factors, recovery codes, ceremonies under way, and how often a person's codes were tried. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../../database/index.ts';
import type { FactorMethod } from './factor.ts';

export type FactorRow = {
  id: string;
  subject: string;
  method: FactorMethod;
  name: string;
  created_at: Date;
  last_used_at: Date | null;
  /** TOTP: the sealed secret, the id of its key, and the last time step of which a code was accepted. */
  sealed: Buffer | null;
  key_id: string | null;
  last_step: number | null;
  /** Passkey. */
  credential: string | null;
  public_key: Buffer | null;
  counter: number | null;
  transports: string[];
  backed_up: boolean;
  rp_id: string | null;
  /** Recovery codes: of the digests of this set. */
  salt: Buffer | null;
};

export type CeremonyPurpose = 'totp' | 'register' | 'authenticate';

/** Single use, and only in the session that began it. */
export type CeremonyRow = {
  /** The passkey's challenge, or the id of the TOTP factor to be. */
  id: string;
  session: string;
  purpose: CeremonyPurpose;
  sealed: Buffer | null;
  key_id: string | null;
  expires_at: Date;
};

export type FactorTables = {
  identity_factor: FactorRow;
  identity_recovery_code: { factor: string; digest: Buffer; used_at: Date | null };
  identity_factor_ceremony: CeremonyRow;
  /** Tries since the last right code; the row goes with that. */
  identity_factor_try: { subject: string; tries: number; blocked_until: Date | null };
  /** As far as second factors write it; the room's store.ts owns the table. */
  identity_token: {
    id: string;
    kind: string;
    subject: string;
    methods: string[];
    factor_at: Date | null;
    created_at: Date;
    revoked_at: Date | null;
  };
};

export const factorTables = (db: Queries) => db.withTables<FactorTables>();

export const factorMigrations: Record<string, RoomMigration> = {
  '020-second-factor': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_factor')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('method', 'text', (c) => c.notNull().check(sql`method in ('totp', 'webauthn', 'recovery-code')`))
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('last_used_at', 'timestamptz')
        .addColumn('sealed', 'bytea')
        .addColumn('key_id', 'text')
        .addColumn('last_step', 'bigint')
        .addColumn('credential', 'text', (c) => c.unique())
        .addColumn('public_key', 'bytea')
        .addColumn('counter', 'bigint')
        .addColumn('transports', sql`text[]`, (c) => c.notNull().defaultTo(sql`'{}'`))
        .addColumn('backed_up', 'boolean', (c) => c.notNull().defaultTo(false))
        .addColumn('rp_id', 'text')
        .addColumn('salt', 'bytea')
        .addCheckConstraint(
          'a_factor_is_whole',
          sql`case method
            when 'totp' then sealed is not null and key_id is not null and last_step is not null
            when 'webauthn' then credential is not null and public_key is not null and counter is not null and rp_id is not null
            else salt is not null end`,
        )
        .execute();
      await db.schema.createIndex('identity_factor_subject').on('identity_factor').column('subject').execute();
      await sql`create unique index one_set_of_recovery_codes on identity_factor (subject) where method = 'recovery-code'`.execute(
        db,
      );
      await db.schema
        .createTable('identity_recovery_code')
        .addColumn('factor', 'text', (c) => c.notNull().references('identity_factor.id').onDelete('cascade'))
        .addColumn('digest', 'bytea', (c) => c.notNull())
        .addColumn('used_at', 'timestamptz')
        .addPrimaryKeyConstraint('identity_recovery_code_key', ['factor', 'digest'])
        .execute();
      await db.schema
        .createTable('identity_factor_ceremony')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('session', 'text', (c) => c.notNull().references('identity_token.id').onDelete('cascade'))
        .addColumn('purpose', 'text', (c) => c.notNull().check(sql`purpose in ('totp', 'register', 'authenticate')`))
        .addColumn('sealed', 'bytea')
        .addColumn('key_id', 'text')
        .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
        .execute();
      await db.schema
        .createIndex('identity_factor_ceremony_expiry')
        .on('identity_factor_ceremony')
        .column('expires_at')
        .execute();
      await db.schema
        .createIndex('identity_factor_ceremony_session')
        .on('identity_factor_ceremony')
        .column('session')
        .execute();
      await db.schema
        .createTable('identity_factor_try')
        .addColumn('subject', 'text', (c) => c.primaryKey())
        .addColumn('tries', 'integer', (c) => c.notNull())
        .addColumn('blocked_until', 'timestamptz')
        .execute();
    },
  },
};
