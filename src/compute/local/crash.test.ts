/** What SIGKILL may not do: to the scheduler at any moment, and to a runner. Real processes, killed by their ids. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { identityOf } from '../../process-identity.ts';
import { jobSpec, untilEnded, untilJob, untilMark, WAITER } from '../scheduler.conformance.ts';
import { attemptPaths, type Started } from './attempt-files.ts';
import { saveFile } from './durable-file.ts';
import type { JobRecord } from './job-record.ts';
import { leftovers, openTestCluster } from './local-cluster.fixture.ts';

const HOST = fileURLToPath(new URL('./scheduler-host.fixture.ts', import.meta.url));
/** More of them in `make soak`. */
const KILLS = Number(process.env['BEAMWAY_SOAK_KILLS'] ?? 6);

/**
 * Marks each start, and any second instance that runs beside it. Builtins where a signal to the group may come between;
 * the lock is removed with SIGTERM ignored, so that it stays only if the script is killed without a grace.
 */
const GUARDED = `#!/bin/sh
trap 'trap "" TERM; rm -f "$1.lock"; exit 0' TERM
set -C
{ : > "$1.lock"; } 2> /dev/null || echo "$BEAMWAY_ATTEMPT" >> "$1.overlap"
echo "$BEAMWAY_ATTEMPT" >> "$1.starts"
sleep 0.1 & wait
trap "" TERM
rm -f "$1.lock"
`;

const startedOf = async (stateDir: string, nativeId: string): Promise<Started & { readonly kind: 'claimed' }> => {
  const text = await untilMark(attemptPaths(`${stateDir}/jobs/${nativeId}/attempt-1`).started, (t) => t !== '');
  const started = JSON.parse(text) as Started;
  assert.equal(started.kind, 'claimed');
  return started as Started & { readonly kind: 'claimed' };
};

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

describe('a local cluster whose scheduler is killed', () => {
  it(`loses no acknowledged job and runs no attempt twice, killed ${KILLS} times at random moments`, async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    await under.current().close();
    const scriptFile = `${under.marks}/guarded.sh`;
    await writeFile(scriptFile, GUARDED);
    const acknowledged: string[] = [];
    for (let round = 0; round < KILLS; round++) {
      const host = spawn(process.execPath, [HOST, under.stateDir, `r${round}`, scriptFile, under.marks], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      const open = new Promise<void>((resolve, reject) => {
        host.once('exit', () => reject(new Error('the host ended by itself')));
        host.stdout.setEncoding('utf8').on('data', (part: string) => {
          said += part;
          if (said.startsWith('open\n')) resolve();
        });
      });
      await open;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 500));
      host.kill('SIGKILL');
      await gone(host);
      acknowledged.push(...said.split('\n').slice(1, -1));
    }
    context.diagnostic(`${acknowledged.length} jobs were acknowledged`);

    const scheduler = await under.reopen(async () => {});
    const byKey = new Map((await scheduler.list()).map((job) => [job.key, job]));
    for (const key of acknowledged) {
      const job = byKey.get(key);
      assert.ok(job !== undefined, `${key} was acknowledged and is lost`);
      const ended = await untilEnded(scheduler, job.nativeId);
      assert.equal(ended.state, 'completed', JSON.stringify(ended));
      const starts = (await readFile(`${under.marks}/${key}.starts`, 'utf8')).trim().split('\n');
      assert.equal(new Set(starts).size, starts.length, `an attempt of ${key} started twice: ${starts.join()}`);
      assert.ok(!existsSync(`${under.marks}/${key}.overlap`), `two attempts of ${key} ran at once`);
    }
    assert.ok(acknowledged.length >= KILLS, 'the hosts got to submit');
  });

  it('has its time limits kept without it', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const job = await under.scheduler.submit(jobSpec({ script: '#!/bin/sh\nsleep 3600\n', timeLimitSeconds: 1 }));
    await untilJob(under.scheduler, job.nativeId, (j) => j.state === 'running');
    const exit = attemptPaths(`${under.stateDir}/jobs/${job.nativeId}/attempt-1`).exit;
    const again = await under.reopen(async () => void (await untilMark(exit, (text) => text !== '')));
    assert.equal((await untilEnded(again, job.nativeId)).state, 'timed-out');
  });

  it('leaves no idle runner behind', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    await under.current().close();
    const scriptFile = `${under.marks}/quick.sh`;
    await writeFile(scriptFile, '#!/bin/sh\nexit 0\n');
    const host = spawn(process.execPath, [HOST, under.stateDir, 'h', scriptFile, under.marks], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const first = await new Promise<string>((resolve) => host.stdout.setEncoding('utf8').once('data', resolve));
    assert.match(first, /^open/);
    const children = async (): Promise<readonly number[]> =>
      (await readFile(`/proc/${host.pid}/task/${host.pid}/children`, 'utf8')).trim().split(' ').map(Number);
    let spares: readonly number[] = [];
    for (let i = 0; i < 500 && spares.length < 1; i++) {
      spares = (await children().catch(() => [])).filter((pid) => pid > 0);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(spares.length > 0);
    const identities = spares.map(identityOf);
    host.kill('SIGKILL');
    await gone(host);
    const deadline = performance.now() + 30_000;
    const alive = () => identities.filter((i) => i !== undefined && identityOf(i.pid)?.startTicks === i.startTicks);
    while (alive().length > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(alive(), []);
  });
});

describe('a local job whose runner is killed', () => {
  it('is cleaned up and queued again, or is node-failed when it may not be', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { scheduler, marks, stateDir } = under;
    const script = '#!/bin/sh\necho "$BEAMWAY_ATTEMPT" >> "$1"\nif [ "$BEAMWAY_ATTEMPT" = 1 ]; then sleep 3600; fi\n';
    const jobs = await Promise.all(
      [true, false].map((requeue) =>
        scheduler.submit(jobSpec({ requeue, script, arguments: [`${marks}/${requeue}`] })),
      ),
    );
    for (const job of jobs) await untilJob(scheduler, job.nativeId, (j) => j.state === 'running');
    for (const job of jobs) process.kill((await startedOf(stateDir, job.nativeId)).pid, 'SIGKILL');
    const [again, never] = await Promise.all(jobs.map((job) => untilEnded(scheduler, job.nativeId)));
    assert.deepEqual(
      [again?.state, again?.attempts.map((a) => a.outcome)],
      ['completed', ['node-failed', 'completed']],
    );
    assert.deepEqual([never?.state, never?.attempts.length], ['node-failed', 1]);
    assert.deepEqual(await leftovers(stateDir), []);
  });

  it('is found dead after a restart, with what it left running', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const job = await under.scheduler.submit(jobSpec({ requeue: false, script: '#!/bin/sh\nsleep 3600 & wait\n' }));
    await untilJob(under.scheduler, job.nativeId, (j) => j.state === 'running');
    const again = await under.reopen(async () => {
      process.kill((await startedOf(under.stateDir, job.nativeId)).pid, 'SIGKILL');
      assert.ok((await leftovers(under.stateDir)).length > 0, 'its script still runs');
    });
    assert.equal((await again.show(job.nativeId)).state, 'node-failed');
    assert.deepEqual(await leftovers(under.stateDir), []);
  });

  it('is not waited for when the machine was started anew meanwhile', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const specs = [true, false].map((requeue) => jobSpec({ requeue, notBefore: Date.now() + 3_600_000 }));
    const jobs = await Promise.all(specs.map((spec) => under.scheduler.submit(spec)));
    const again = await under.reopen(async () => {
      for (const job of jobs) {
        const file = `${under.stateDir}/jobs/${job.nativeId}/job.json`;
        const record = JSON.parse(await readFile(file, 'utf8')) as JobRecord;
        const attempt = {
          attempt: 1,
          placedAtMs: 0,
          placement: [{ node: 'n01', slots: [0] }],
          cookie: `c${job.nativeId}`,
          bootId: 'another boot',
        };
        await saveFile(file, JSON.stringify({ ...record, attempts: [attempt] }));
      }
    });
    const seen = await Promise.all(jobs.map((job) => again.show(job.nativeId)));
    assert.deepEqual(
      seen.map((job) => [job.state, job.attempts[0]?.outcome]),
      [
        ['queued', 'node-failed'],
        ['node-failed', 'node-failed'],
      ],
    );
    assert.deepEqual(
      (await again.nodes()).map((node) => node.free),
      [2, 2],
    );
  });

  it('is not taken for alive because another process has its pid, and that one is not touched', async (context) => {
    const under = await openTestCluster();
    context.after(() => under.dispose());
    const { marks, stateDir } = under;
    const job = await under.scheduler.submit(
      jobSpec({ requeue: false, script: WAITER, arguments: [`${marks}/start`, `${marks}/go`] }),
    );
    await untilMark(`${marks}/start`, (text) => text !== '');
    const innocent = spawn('sleep', ['3600'], { stdio: 'ignore' });
    context.after(async () => {
      innocent.kill('SIGKILL');
      await gone(innocent);
    });
    const again = await under.reopen(async () => {
      const started = await startedOf(stateDir, job.nativeId);
      process.kill(started.pid, 'SIGKILL');
      await saveFile(
        attemptPaths(`${stateDir}/jobs/${job.nativeId}/attempt-1`).started,
        JSON.stringify({ ...started, pid: innocent.pid }),
      );
    });
    assert.equal((await again.show(job.nativeId)).state, 'node-failed');
    assert.ok(identityOf(innocent.pid ?? 0) !== undefined);
    await appendFile(`${marks}/go`, '0\n');
  });
});
