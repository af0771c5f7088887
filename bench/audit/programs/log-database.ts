/**
 * A database of its own for the figures of the audit log, durable as in production, and records like those that the pipeline writes. Owns server and folder
 * until the run ends.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditEntry, auditMigrations } from '../../../src/audit/index.ts';
import { systemClock } from '../../../src/clock.ts';
import {
  type Database,
  databaseMigrations,
  migrate,
  openDatabase,
  removeEmbedded,
  silentLog,
  startEmbedded,
} from '../../../src/database/index.ts';
import type { BenchContext } from '../../figure.ts';

export interface LogDatabase {
  /** Of the application's role. */
  readonly application: Database;
  readonly owner: Database;
}

export async function startLogDatabase(context: BenchContext): Promise<LogDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-bench-audit-'));
  chmodSync(folder, 0o711);
  context.defer(() => rmSync(folder, { recursive: true, force: true }));
  const options = { stateDir: join(folder, 'state'), clock: systemClock, log: silentLog };
  const embedded = await startEmbedded(options);
  context.defer(async () => {
    await embedded.stop();
    await removeEmbedded(options);
  });
  const rooms = [databaseMigrations, { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record'] }];
  await migrate({ embedded }, rooms, options);
  const { ownerConnection } = embedded;
  const open = { clock: systemClock, log: silentLog, maxConnections: 2 };
  const application = openDatabase({ embedded }, open);
  const owner = openDatabase({ embedded: { connection: ownerConnection, ownerConnection } }, open);
  context.defer(async () => {
    await application.close();
    await owner.close();
  });
  return { application, owner };
}

const BEARERS = Array.from({ length: 1000 }, () => `tok_${randomBytes(10).toString('hex')}`);

/** Half intents, half outcomes about a job of their own, by a thousand bearers: the ids are random, as they are in life. */
export function recordsLikeLife(count: number): readonly AuditEntry[] {
  return Array.from({ length: count }, (_, i): AuditEntry => {
    const intent = i % 2 === 0;
    return {
      at: new Date(),
      requestId: `req_${randomBytes(10).toString('hex')}`,
      phase: intent ? 'intent' : 'outcome',
      callerKind: 'token',
      callerId: BEARERS[i % BEARERS.length] ?? '',
      subject: 'ada',
      project: i % 3 === 0 ? 'beamtime' : 'demo',
      action: 'job.submit',
      resource: intent ? '' : `job_${randomBytes(10).toString('hex')}`,
      status: intent ? null : 201,
      detail: { request: { name: `step-${i}`, tier: 'batch', script: '[string]' }, from: '127.0.0.1' },
    };
  });
}
