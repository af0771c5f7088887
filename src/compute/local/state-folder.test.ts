/** The state folder: one scheduler at a time, nothing half-written, and plain words when the disk is not as it should be. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { identityOf, isAlive } from '../../process-identity.ts';
import { jobSpec, untilEnded, untilJob } from '../scheduler.conformance.ts';
import { SchedulerError } from '../scheduler.ts';
import { parseJobRecord } from './job-record.ts';
import { openTestCluster, TEST_CLUSTER } from './local-cluster.fixture.ts';
import { openLocalScheduler } from './open-local-scheduler.ts';
import { lockStateFolder, StateFolderInUse } from './state-lock.ts';

const HOLDER = fileURLToPath(new URL('./lock-holder.fixture.ts', import.meta.url));

describe('the lock of a state folder', () => {
  it('keeps a second scheduler out until the first lets go', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const options = { ...TEST_CLUSTER, stateDir: under.stateDir };
    await assert.rejects(openLocalScheduler(options), StateFolderInUse);
    await under.reopen(async () => {
      const twice = { name: 'n01', slots: 1 };
      await assert.rejects(openLocalScheduler({ ...options, nodes: [twice, twice] }), /declared twice/);
    });
  });

  it('is taken over from a dead process by exactly one of many takers', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'beamway-lock-'));
    context.after(() => rm(folder, { recursive: true, force: true }));
    const self = identityOf(process.pid);
    assert.ok(self !== undefined);
    await writeFile(`${folder}/lock.4`, JSON.stringify({ kind: 'held', ...self, startTicks: self.startTicks - 1 }));
    const takers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, [HOLDER, folder], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    context.after(() => {
      for (const taker of takers) taker.kill('SIGKILL');
    });
    const said = await Promise.all(
      takers.map((taker) => new Promise<string>((resolve) => taker.stdout.setEncoding('utf8').once('data', resolve))),
    );
    assert.deepEqual(said.sort(), ['held\n', 'refused\n', 'refused\n', 'refused\n']);
    assert.throws(() => lockStateFolder(folder), StateFolderInUse);
    const gone = takers.map((taker) => new Promise((resolve) => taker.once('exit', resolve)));
    for (const taker of takers) taker.stdin.end();
    await Promise.all(gone);
    const lock = lockStateFolder(folder);
    assert.equal((await readdir(folder)).length, 1);
    lock.release();
    lockStateFolder(folder).release();
  });

  it('knows a process by more than its pid', () => {
    const self = identityOf(process.pid);
    assert.ok(self !== undefined && isAlive(self));
    assert.ok(!isAlive({ ...self, startTicks: self.startTicks + 1 }));
    assert.ok(!isAlive({ ...self, bootId: 'another boot' }));
    assert.equal(identityOf(2 ** 30), undefined);
  });
});

describe('a state folder that is not as it should be', () => {
  it('refuses a submit that cannot be recorded, keeps nothing of it, and takes it later', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const blocked = `${under.stateDir}/jobs/1`;
    await mkdir(blocked);
    const spec = jobSpec();
    await assert.rejects(
      under.scheduler.submit(spec),
      (error: unknown) => error instanceof SchedulerError && error.kind === 'unavailable',
    );
    assert.deepEqual(await under.scheduler.list(), []);
    await rm(blocked, { recursive: true });
    const job = await under.scheduler.submit(spec);
    assert.equal((await untilEnded(under.scheduler, job.nativeId)).state, 'completed');
  });

  it('starts a job later when its attempt cannot be written now', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const job = await under.scheduler.submit(jobSpec({ requeue: false, notBefore: Date.now() + 300 }));
    await writeFile(`${under.stateDir}/jobs/${job.nativeId}/attempt-1`, 'in the way');
    const waits = await untilJob(
      under.scheduler,
      job.nativeId,
      (j) => j.attempts.length === 1 && j.attempts[0]?.outcome !== undefined,
    );
    assert.deepEqual([waits.state, waits.attempts[0]?.outcome], ['queued', 'not-started']);
    assert.match(waits.reason, /attempt 1: .*EEXIST.*not to start before/);
    const ended = await untilEnded(under.scheduler, job.nativeId);
    assert.deepEqual([ended.state, ended.attempts.map((a) => a.outcome)], ['completed', ['not-started', 'completed']]);
  });

  it('removes what was never acknowledged, and stops at a damaged record, naming it', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const job = await under.scheduler.submit(jobSpec());
    await untilEnded(under.scheduler, job.nativeId);
    await under.reopen(() => mkdir(`${under.stateDir}/jobs/2/work`, { recursive: true }).then(() => {}));
    assert.ok(!existsSync(`${under.stateDir}/jobs/2`));
    const file = `${under.stateDir}/jobs/1/job.json`;
    const good = await readFile(file, 'utf8');
    await under.current().close();
    await writeFile(file, good.slice(0, good.length / 2));
    await assert.rejects(
      openLocalScheduler({ ...TEST_CLUSTER, stateDir: under.stateDir }),
      /jobs\/1\/job\.json cannot be read/,
    );
    await writeFile(file, good);
    assert.equal((await (await under.reopen(async () => {})).show(job.nativeId)).state, 'completed');
  });

  it('keeps jobs of a tier or node that was taken out of the configuration', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const notBefore = Date.now() + 3_600_000;
    const waits = await under.scheduler.submit(jobSpec({ tier: 'urgent', notBefore }));
    const wide = await under.scheduler.submit(jobSpec({ nodes: 2, notBefore }));
    await under.current().close();
    const [batch] = TEST_CLUSTER.tiers;
    assert.ok(batch !== undefined);
    const smaller = await openLocalScheduler({
      ...TEST_CLUSTER,
      stateDir: under.stateDir,
      tiers: [batch],
      nodes: [{ name: 'n01', slots: 2 }],
    });
    context.after(() => smaller.close());
    assert.match((await smaller.show(waits.nativeId)).reason, /tier urgent is not declared/);
    assert.equal((await smaller.show(wide.nativeId)).state, 'queued');
    await assert.rejects(smaller.submit(jobSpec({ tier: 'urgent' })), /no tier urgent/);
    for (const job of [waits, wide]) assert.equal((await smaller.cancel(job.nativeId)).state, 'cancelled');
    await smaller.close();
  });

  it('reads any text as a record or refuses it', () => {
    const part = fc.constantFrom(
      'version',
      'nativeId',
      'serial',
      'spec',
      'attempts',
      'submittedAtMs',
      'key',
      'tier',
      'nodes',
      'slotsPerNode',
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.dictionary(part, fc.oneof(fc.constant(1), fc.jsonValue()))), (value) => {
        try {
          assert.equal(typeof parseJobRecord(value).nativeId, 'string');
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
        }
      }),
    );
  });
});
