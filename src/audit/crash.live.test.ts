/** Replicas and PostgreSQL killed with SIGKILL in the middle of batches: no acknowledged record is lost, none is there twice, the chain has no gap. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../clock.ts';
import {
  type DatabaseTarget,
  migrate,
  openDatabase,
  type Queries,
  removeEmbedded,
  silentLog,
  startEmbedded,
} from '../database/index.ts';
import { type AuditLog, openAuditLog, recordsPage, verifyChain } from './index.ts';
import { entry, ROOMS, testChain } from './testing.ts';

const FIXTURE = new URL('append-forever.fixture.ts', import.meta.url).pathname;

async function acknowledgedOf(target: DatabaseTarget, prefix: string, killAfter: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [FIXTURE, JSON.stringify({ target, prefix })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let text = '';
  let lines = 0;
  child.stdout.setEncoding('latin1').on('data', (part: string) => {
    text += part;
    lines += part.split('\n').length - 1;
    if (lines >= killAfter) child.kill('SIGKILL');
  });
  const [, signal] = (await ended) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'it was killed and did not end by itself');
  return text.split('\n').slice(0, -1);
}

async function assertKept(db: Queries, acknowledged: readonly string[]): Promise<void> {
  const report = await verifyChain(db);
  assert.ok(report.intact, JSON.stringify(report));
  const ids = (await recordsPage(db, { limit: 1_000_000 })).map((r) => r.requestId);
  assert.equal(new Set(ids).size, ids.length, 'none is there twice');
  const there = new Set(ids);
  assert.deepEqual(
    acknowledged.filter((id) => !there.has(id)),
    [],
  );
}

test('replicas killed in the middle of a batch lose nothing they acknowledged', { timeout: 120_000 }, async (t) => {
  const { database, embedded } = await testChain(t, 0);
  const acknowledged: string[] = [];
  for (let round = 0; round < 4; round++) {
    const kills = [1, 1500].map((n, i) => acknowledgedOf({ embedded }, `${round}-${i}`, n + round * 350));
    acknowledged.push(...(await Promise.all(kills)).flat());
  }
  assert.ok(acknowledged.length > 4 * 1500);
  await assertKept(database.kysely, acknowledged);
  t.diagnostic(`${acknowledged.length} acknowledged by 8 replicas that were killed`);
});

test('PostgreSQL killed in the middle of batches loses nothing it acknowledged', { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-audit-crash-'));
  chmodSync(folder, 0o711);
  const options = { stateDir: join(folder, 'state'), clock: systemClock, log: silentLog };
  const server = await startEmbedded(options);
  const open = { clock: systemClock, log: silentLog, patienceMs: 60_000, maxConnections: 3 };
  const database = openDatabase({ embedded: server }, open);
  t.after(async () => {
    await database.close();
    await server.stop();
    await removeEmbedded(options);
    rmSync(folder, { recursive: true, force: true });
  });
  await migrate({ embedded: server }, ROOMS, open);
  const log = openAuditLog(database.kysely);
  const acknowledged: string[] = [];
  let next = 0;
  for (let round = 0; round < 3; round++) {
    const restarted = new Promise<void>((resolve) => void server.onRestart(() => resolve()));
    const goal = acknowledged.length + 2000;
    while (acknowledged.length < goal) acknowledged.push(...(await wave(log, () => `req_${next++}`)));
    const under = Array.from({ length: 10 }, () => wave(log, () => `req_${next++}`));
    // The first batch is committed, the next one is being written.
    await Promise.race(under);
    process.kill(server.pid(), 'SIGKILL');
    acknowledged.push(...(await Promise.all(under)).flat());
    await restarted;
  }
  await log.append(entry({ requestId: 'after' }));
  await assertKept(database.kysely, [...acknowledged, 'after']);
  t.diagnostic(
    `${acknowledged.length} acknowledged around three kills, ${next - acknowledged.length} refused or unknown`,
  );
});

/** Ids of those that were acknowledged. What failed is not; it may be there all the same. */
async function wave(log: AuditLog, id: () => string): Promise<readonly string[]> {
  const ids = Array.from({ length: 500 }, id);
  const results = await Promise.allSettled(ids.map((requestId) => log.append(entry({ requestId }))));
  return ids.filter((_, i) => results[i]?.status === 'fulfilled');
}
