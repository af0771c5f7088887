/**
 * A replica that appends to the audit log as fast as it can until it is killed. One JSON argument: where the database is (a socket, no secret) and a
 * prefix. Writes each request id to stdout, a line, once its record is acknowledged.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import { type DatabaseTarget, openDatabase, silentLog } from '../database/index.ts';
import { openAuditLog } from './index.ts';

const WAVE_RECORDS = 700;

const { target, prefix } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly target: DatabaseTarget;
  readonly prefix: string;
};
const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 2 });
const log = openAuditLog(database.kysely);
for (let next = 0; ; ) {
  const wave = Array.from({ length: WAVE_RECORDS }, async () => {
    const requestId = `${prefix}_${next++}`;
    await log.append({
      at: new Date(systemClock.now()),
      requestId,
      phase: 'event',
      callerKind: 'system',
      callerId: 'test',
      subject: 'test',
      project: null,
      action: 'test.append',
      resource: '',
      status: null,
      detail: {},
    });
    writeSync(1, `${requestId}\n`);
  });
  await Promise.all(wave);
}
