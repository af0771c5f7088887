/**
 * The SQL of signing in through a browser: sign-ins that are under way (`identity_login`, by the digest of their state), and how each session
 * came to be and when it was last used (`identity_sign_in`).
 */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../../database/index.ts';

type LoginRow = {
  state: Buffer;
  provider: string;
  browser: Buffer;
  return_path: string;
  created_at: Date;
  expires_at: Date;
};

type SignInRow = {
  token: string;
  provider: string;
  address: string;
  agent: string;
  idle_seconds: number | null;
  last_seen_at: Date;
};

type TokenColumns = {
  id: string;
  kind: string;
  subject: string;
  methods: string[];
  factor_at: Date | null;
  created_at: Date;
  expires_at: Date;
  revoked_at: Date | null;
};

type LoginTables = {
  identity_login: LoginRow;
  identity_sign_in: SignInRow;
  identity_token: TokenColumns;
};

export const loginMigrations: Record<string, RoomMigration> = {
  '010-sign-in': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_login')
        .addColumn('state', 'bytea', (c) => c.primaryKey())
        .addColumn('provider', 'text', (c) => c.notNull())
        .addColumn('browser', 'bytea', (c) => c.notNull())
        .addColumn('return_path', 'text', (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
        .execute();
      await db.schema.createIndex('identity_login_expiry').on('identity_login').column('expires_at').execute();
      await db.schema
        .createTable('identity_sign_in')
        .addColumn('token', 'text', (c) => c.primaryKey().references('identity_token.id').onDelete('cascade'))
        .addColumn('provider', 'text', (c) => c.notNull())
        .addColumn('address', 'text', (c) => c.notNull())
        .addColumn('agent', 'text', (c) => c.notNull())
        .addColumn('idle_seconds', 'integer')
        .addColumn('last_seen_at', 'timestamptz', (c) => c.notNull())
        .execute();
      await sql`create index identity_session_subject on identity_token (subject) where kind = 'session'`.execute(db);
    },
  },
};

const tables = (db: Queries) => db.withTables<LoginTables>();

export interface Login {
  readonly state: Buffer;
  readonly provider: string;
  readonly browser: Buffer;
  readonly returnPath: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Sweeps what has expired on the way: nobody else looks at it. */
export async function insertLogin(db: Queries, login: Login): Promise<void> {
  await tables(db).deleteFrom('identity_login').where('expires_at', '<', login.createdAt).execute();
  await tables(db)
    .insertInto('identity_login')
    .values({
      state: login.state,
      provider: login.provider,
      browser: login.browser,
      return_path: login.returnPath,
      created_at: login.createdAt,
      expires_at: login.expiresAt,
    })
    .execute();
}

/** The sign-in of this state, provider and browser, which is gone from then on; another browser's stays where it is. */
export async function takeLogin(
  db: Queries,
  of: { readonly state: Buffer; readonly provider: string; readonly browser: Buffer; readonly at: Date },
): Promise<{ readonly returnPath: string } | undefined> {
  const row = await tables(db)
    .deleteFrom('identity_login')
    .where('state', '=', of.state)
    .where('provider', '=', of.provider)
    .where('browser', '=', of.browser)
    .where('expires_at', '>', of.at)
    .returning('return_path')
    .executeTakeFirst();
  return row === undefined ? undefined : { returnPath: row.return_path };
}

export interface SignIn {
  readonly token: string;
  readonly provider: string;
  readonly address: string;
  readonly agent: string;
  /** null: it does not end by not being used. */
  readonly idleSeconds: number | null;
  readonly at: Date;
}

export async function insertSignIn(db: Queries, signIn: SignIn): Promise<void> {
  await tables(db)
    .insertInto('identity_sign_in')
    .values({
      token: signIn.token,
      provider: signIn.provider,
      address: signIn.address,
      agent: signIn.agent,
      idle_seconds: signIn.idleSeconds,
      last_seen_at: signIn.at,
    })
    .execute();
}

/** Marks the session used. `idle`: it was not, for longer than it may be. `absent`: it came through no page and has no such bound. */
export async function touchSignIn(db: Queries, token: string, at: Date): Promise<'used' | 'idle' | 'absent'> {
  const row = await tables(db)
    .updateTable('identity_sign_in')
    .set({ last_seen_at: sql<Date>`greatest(last_seen_at, ${at})` })
    .where('token', '=', token)
    .where(sql<boolean>`(idle_seconds is null or last_seen_at + idle_seconds * interval '1 second' > ${at})`)
    .returning('token')
    .executeTakeFirst();
  if (row !== undefined) return 'used';
  const known = await tables(db).selectFrom('identity_sign_in').select('token').where('token', '=', token).execute();
  return known.length > 0 ? 'idle' : 'absent';
}

export interface OwnSession {
  readonly id: string;
  readonly methods: readonly string[];
  readonly factorAt: Date | null;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** Of those that came through a page or a device code. */
  readonly provider: string | null;
  readonly address: string | null;
  readonly agent: string | null;
  readonly lastSeenAt: Date | null;
}

/** A person's sessions that are alive, newest first. */
export async function sessionsOf(db: Queries, subject: string, at: Date): Promise<readonly OwnSession[]> {
  const rows = await tables(db)
    .selectFrom('identity_token')
    .leftJoin('identity_sign_in', 'identity_sign_in.token', 'identity_token.id')
    .select(['id', 'methods', 'factor_at', 'created_at', 'expires_at', 'provider', 'address', 'agent', 'last_seen_at'])
    .where('kind', '=', 'session')
    .where('subject', '=', subject)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .where(sql<boolean>`(idle_seconds is null or last_seen_at + idle_seconds * interval '1 second' > ${at})`)
    .orderBy('created_at', 'desc')
    .limit(200)
    .execute();
  return rows.map((row) => ({
    id: row.id,
    methods: row.methods,
    factorAt: row.factor_at,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    provider: row.provider,
    address: row.address,
    agent: row.agent,
    lastSeenAt: row.last_seen_at,
  }));
}
