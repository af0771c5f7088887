/** How local jobs end: nothing of them stays, and the cluster's own end is not theirs. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { identityOf } from '../../process-identity.ts';
import { jobSpec, untilEnded, untilJob, untilMark } from '../scheduler.conformance.ts';
import { leftovers, openTestCluster } from './local-cluster.fixture.ts';

describe('the end of a local job', () => {
  it('takes its background processes along, those that made a session of their own too', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler, marks } = under;
    const script =
      '#!/bin/sh\nsleep 3600 &\necho $! >> "$1"\n(setsid sh -c \'echo $$ >> "$0"; exec sleep 3600\' "$1" &)\nwhile [ "$(wc -l < "$1")" -lt 2 ]; do sleep 0.02; done\n';
    const job = await scheduler.submit(jobSpec({ script, arguments: [`${marks}/pids`] }));
    assert.equal((await untilEnded(scheduler, job.nativeId)).state, 'completed');
    const pids = (await readFile(`${marks}/pids`, 'utf8')).trim().split('\n').map(Number);
    assert.equal(pids.length, 2);
    assert.deepEqual(pids.map(identityOf), [undefined, undefined]);
    assert.deepEqual(await leftovers(under.stateDir), []);
  });

  it('comes by SIGKILL after the grace to a job that ignores SIGTERM', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler, marks } = under;
    const stubborn = '#!/bin/sh\ntrap \'\' TERM\necho here > "$1"\nwhile :; do sleep 0.1; done\n';
    const job = await scheduler.submit(jobSpec({ script: stubborn, arguments: [`${marks}/here`] }));
    await untilMark(`${marks}/here`, (text) => text !== '');
    const asked = await scheduler.cancel(job.nativeId);
    assert.equal(asked.state, 'completing');
    const ended = await untilEnded(scheduler, job.nativeId);
    assert.deepEqual([ended.state, ended.attempts[0]?.signal], ['cancelled', 'SIGKILL']);
  });

  it('comes at any moment of its start, and its slots are free again', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler } = under;
    for (let i = 0; i < 20; i++) {
      const job = await scheduler.submit(jobSpec({ script: '#!/bin/sh\nsleep 3600\n', slotsPerNode: 2, nodes: 2 }));
      for (let ms = 0; ms < i * 3; ms++) await new Promise((resolve) => setTimeout(resolve, 1));
      await scheduler.cancel(job.nativeId);
      assert.equal((await untilEnded(scheduler, job.nativeId)).state, 'cancelled');
    }
    assert.deepEqual(
      (await scheduler.nodes()).map((node) => node.free),
      [2, 2],
    );
    assert.deepEqual(await leftovers(under.stateDir), []);
  });

  it('is told apart from a script that cannot be started', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler } = under;
    const noInterpreter = await untilEnded(
      scheduler,
      (await scheduler.submit(jobSpec({ script: '#!/no/such/interpreter\n' }))).nativeId,
    );
    assert.equal(noInterpreter.state, 'failed');
    assert.match(noInterpreter.reason, /cannot be started.*ENOENT/);
    const noFolder = await untilEnded(
      scheduler,
      (await scheduler.submit(jobSpec({ workDir: '/no/such/folder' }))).nativeId,
    );
    assert.match(noFolder.reason, /cannot be started/);
    const killed = await untilEnded(
      scheduler,
      (await scheduler.submit(jobSpec({ script: '#!/bin/sh\nkill -KILL $$\n' }))).nativeId,
    );
    assert.deepEqual(
      [killed.state, killed.reason, killed.attempts[0]?.signal],
      ['failed', 'killed by SIGKILL', 'SIGKILL'],
    );
  });
});

describe('the end of a local cluster', () => {
  it('with its jobs: they end, and those that may be requeued go on at the next start', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler, marks } = under;
    const script = '#!/bin/sh\necho "$BEAMWAY_ATTEMPT" >> "$1"\nif [ "$BEAMWAY_ATTEMPT" = 1 ]; then sleep 3600; fi\n';
    const jobs = await Promise.all(
      [true, false].map((requeue) =>
        scheduler.submit(jobSpec({ requeue, script, arguments: [`${marks}/${requeue}`] })),
      ),
    );
    for (const job of jobs) await untilJob(scheduler, job.nativeId, (j) => j.state === 'running');
    for (const requeue of [true, false]) await untilMark(`${marks}/${requeue}`, (text) => text !== '');
    await under.current().closeAndEndJobs();
    assert.deepEqual(await leftovers(under.stateDir), []);
    await assert.rejects(scheduler.list(), /closed/);
    const again = await under.reopen(async () => {});
    const [resumed, not] = await Promise.all(jobs.map((job) => untilEnded(again, job.nativeId)));
    assert.deepEqual(
      [resumed?.state, resumed?.attempts.map((a) => a.outcome)],
      ['completed', ['shut-down', 'completed']],
    );
    assert.deepEqual([not?.state, not?.attempts.length], ['cancelled', 1]);
  });

  it('without its jobs: closing waits for nothing that runs', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const job = await under.scheduler.submit(jobSpec({ script: '#!/bin/sh\nsleep 3600\n' }));
    await untilJob(under.scheduler, job.nativeId, (j) => j.state === 'running');
    await under.current().close();
    await under.current().close();
    assert.ok((await leftovers(under.stateDir)).length > 0);
  });
});
