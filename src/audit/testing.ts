/** For tests of the audit log: a log of some records, its keys and checkpoint file in a folder of their own, and the database as its owner sees it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Clock, systemClock } from '../clock.ts';
import { type Database, databaseMigrations, openDatabase, type RoomMigrations, silentLog } from '../database/index.ts';
import { type TestDatabase, testDatabase } from '../database/testing.ts';
import {
  type AuditEntry,
  type AuditKeys,
  type AuditLog,
  auditMigrations,
  type ChainReport,
  openAuditKeys,
  openAuditLog,
  readCheckpointFile,
  type SealDeps,
  verifyChain,
} from './index.ts';

export const ROOMS: readonly RoomMigrations[] = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record', 'audit_period', 'audit_checkpoint'] },
];

export const entry = (change: Partial<AuditEntry> = {}): AuditEntry => ({
  at: new Date('2026-01-01T00:00:00.123Z'),
  requestId: 'req_1',
  phase: 'intent',
  callerKind: 'token',
  callerId: 'tok_1',
  subject: 'ada',
  project: 'demo',
  action: 'job.submit',
  resource: '',
  status: null,
  detail: {},
  ...change,
});

export interface TestChain extends TestDatabase {
  readonly owner: Database;
  readonly log: AuditLog;
  readonly folder: string;
  readonly keys: AuditKeys;
  readonly seal: SealDeps;
  append(count: number): Promise<void>;
  /** With the keys and the file, as the API does it. */
  verify(): Promise<ChainReport>;
  passDays(days: number): void;
}

export async function testChain(t: TestContext, count: number): Promise<TestChain> {
  const made = await testDatabase(t, ROOMS);
  const { ownerConnection } = made.embedded;
  const target = { embedded: { connection: ownerConnection, ownerConnection } };
  const owner = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 2 });
  t.after(() => owner.close());
  const folder = mkdtempSync(join(tmpdir(), 'beamway-audit-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  let aheadMs = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const db = made.database.kysely;
  const log = openAuditLog(db);
  const keys = openAuditKeys(folder);
  const file = join(folder, 'checkpoints.jsonl');
  let written = 0;
  const append = async (more: number): Promise<void> => {
    await Promise.all(Array.from({ length: more }, () => log.append(entry({ requestId: `req_${written++}` }))));
  };
  await append(count);
  return {
    ...made,
    owner,
    log,
    folder,
    keys,
    seal: { db, clock, audit: log, signer: keys.signer, file },
    append,
    verify: () => verifyChain(db, { trusted: keys.trusted, file: readCheckpointFile(file) }),
    passDays(days) {
      aheadMs += days * 86_400_000;
    },
  };
}
