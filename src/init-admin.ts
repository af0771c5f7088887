/**
 * The verbs `admin init` and `admin break-glass`: a session of an administrator, made by whoever owns the state folder, running or not. Both are in the audit log;
 * breaking the glass is for the day when nobody can sign in, needs a reason, and is short.
 */
import { userInfo } from 'node:os';
import { openAuditLog } from './audit/index.ts';
import { systemClock } from './clock.ts';
import { EXAMPLE_FACILITY } from './config.ts';
import { migrate, openDatabase, silentLog } from './database/index.ts';
import { loadFacility } from './facility/index.ts';
import { newId } from './id.ts';
import { issueSession } from './identity/index.ts';
import { withDatabaseOf } from './reach-database.ts';
import { MIGRATIONS } from './server.ts';

export interface AdminSession {
  readonly id: string;
  readonly value: string;
  readonly expiresAt: string;
}

export interface AdminWish {
  readonly stateDir: string;
  readonly lifetimeSeconds: number;
  /** Why the glass is broken; absent for `admin init`. */
  readonly breakGlass?: string;
}

export function initAdmin(wish: AdminWish): Promise<AdminSession> {
  const { stateDir, lifetimeSeconds, breakGlass } = wish;
  const verb = breakGlass === undefined ? 'admin init' : 'admin break-glass';
  return withDatabaseOf(stateDir, async ({ target }) => {
    await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
    const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 2 });
    try {
      const deps = { db: database.kysely, clock: systemClock, facility: loadFacility(EXAMPLE_FACILITY) };
      const audit = openAuditLog(deps.db);
      const requestId = newId('req');
      const record = (phase: 'intent' | 'outcome', resource: string): Promise<void> =>
        audit.append({
          at: new Date(systemClock.now()),
          requestId,
          phase,
          callerKind: 'system',
          callerId: verb,
          subject: userInfo().username,
          project: null,
          action: breakGlass === undefined ? 'admin.init' : 'admin.break-glass',
          resource,
          status: null,
          detail: { lifetimeSeconds, ...(breakGlass === undefined ? {} : { reason: breakGlass }) },
        });
      // Before it exists: a session that nobody recorded is not handed out.
      await record('intent', '');
      const { token, value } = await issueSession(deps, {
        subject: 'administrator',
        roles: ['administrator'],
        lifetimeSeconds,
        by: verb,
        methods: [breakGlass === undefined ? 'issued' : 'break-glass'],
      });
      await record('outcome', `token/${token.id}`);
      return { id: token.id, value, expiresAt: token.expiresAt.toISOString() };
    } finally {
      await database.close();
    }
  });
}
