/** The SQL of device codes (RFC 8628): kept as digests only, decided once, answered once. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';

export type DeviceState = 'pending' | 'approved' | 'denied' | 'used';

type DeviceRow = {
  device: Buffer;
  user_code: Buffer;
  address: string;
  step_up: boolean;
  interval_seconds: number;
  state: DeviceState;
  polled_at: Date | null;
  decided_by: string | null;
  created_at: Date;
  expires_at: Date;
};

type DeviceTables = { identity_device_login: DeviceRow };

export const deviceLoginMigrations: Record<string, RoomMigration> = {
  '010-device-login': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_device_login')
        .addColumn('device', 'bytea', (c) => c.primaryKey())
        .addColumn('user_code', 'bytea', (c) => c.notNull().unique())
        .addColumn('address', 'text', (c) => c.notNull())
        .addColumn('step_up', 'boolean', (c) => c.notNull())
        .addColumn('interval_seconds', 'integer', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull().check(sql`state in ('pending', 'approved', 'denied', 'used')`))
        .addColumn('polled_at', 'timestamptz')
        .addColumn('decided_by', 'text', (c) => c.references('identity_token.id'))
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('expires_at', 'timestamptz', (c) => c.notNull())
        .execute();
      await db.schema.createIndex('identity_device_expiry').on('identity_device_login').column('expires_at').execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<DeviceTables>();

export interface DeviceLogin {
  readonly device: Buffer;
  readonly userCode: Buffer;
  readonly address: string;
  readonly stepUp: boolean;
  readonly intervalSeconds: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Sweeps what has expired on the way. */
export async function insertDeviceLogin(db: Queries, login: DeviceLogin): Promise<void> {
  await tables(db).deleteFrom('identity_device_login').where('expires_at', '<', login.createdAt).execute();
  await tables(db)
    .insertInto('identity_device_login')
    .values({
      device: login.device,
      user_code: login.userCode,
      address: login.address,
      step_up: login.stepUp,
      interval_seconds: login.intervalSeconds,
      state: 'pending',
      polled_at: null,
      decided_by: null,
      created_at: login.createdAt,
      expires_at: login.expiresAt,
    })
    .execute();
}

/** Of a user code that waits for an answer. */
export async function pendingDeviceLogin(db: Queries, userCode: Buffer, at: Date): Promise<DeviceLogin | undefined> {
  const row = await tables(db)
    .selectFrom('identity_device_login')
    .selectAll()
    .where('user_code', '=', userCode)
    .where('state', '=', 'pending')
    .where('expires_at', '>', at)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    device: row.device,
    userCode: row.user_code,
    address: row.address,
    stepUp: row.step_up,
    intervalSeconds: row.interval_seconds,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

export interface DeviceDecision {
  readonly state: 'approved' | 'denied';
  /** The session that decided. */
  readonly by: string;
  readonly at: Date;
}

/** False where somebody was quicker, or the code has expired. */
export async function decideDeviceLogin(db: Queries, userCode: Buffer, decision: DeviceDecision): Promise<boolean> {
  const row = await tables(db)
    .updateTable('identity_device_login')
    .set({ state: decision.state, decided_by: decision.by })
    .where('user_code', '=', userCode)
    .where('state', '=', 'pending')
    .where('expires_at', '>', decision.at)
    .returning('device')
    .executeTakeFirst();
  return row !== undefined;
}

export interface PolledLogin {
  readonly state: DeviceState;
  readonly address: string;
  readonly intervalSeconds: number;
  readonly polledAt: Date | null;
  readonly expiresAt: Date;
  readonly decidedBy: string;
  readonly stepUp: boolean;
}

/** Held until the caller's transaction ends, so that a code is answered once. */
export async function holdDeviceLogin(trx: TransactionQueries, device: Buffer): Promise<PolledLogin | undefined> {
  const row = await tables(trx)
    .selectFrom('identity_device_login')
    .selectAll()
    .where('device', '=', device)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    state: row.state,
    address: row.address,
    intervalSeconds: row.interval_seconds,
    polledAt: row.polled_at,
    expiresAt: row.expires_at,
    decidedBy: row.decided_by ?? '',
    stepUp: row.step_up,
  };
}

export async function markPolled(
  trx: TransactionQueries,
  device: Buffer,
  poll: { readonly at: Date; readonly intervalSeconds: number; readonly state: DeviceState },
): Promise<void> {
  await tables(trx)
    .updateTable('identity_device_login')
    .set({ polled_at: poll.at, interval_seconds: poll.intervalSeconds, state: poll.state })
    .where('device', '=', device)
    .execute();
}
