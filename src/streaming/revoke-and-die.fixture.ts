/**
 * A replica that revokes a token and dies with SIGKILL as soon as that is committed: nothing of ours runs after the row. One JSON argument:
 * where the database is (a socket, no secret) and the token's id.
 */
import { systemClock } from '../clock.ts';
import { type DatabaseTarget, openDatabase, silentLog } from '../database/index.ts';
import { revokeToken, systemCaller } from '../identity/index.ts';

const { target, token } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly target: DatabaseTarget;
  readonly token: string;
};
const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
const verifier = {
  verify: () => Promise.reject(new Error('not asked here')),
  refresh: async (): Promise<void> => void process.kill(process.pid, 'SIGKILL'),
  stop: () => undefined,
};
await revokeToken({ db: database.kysely, clock: systemClock, verifier }, systemCaller('test'), token);
