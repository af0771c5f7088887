/**
 * What every adapter of the Scheduler port must do, as node:test cases. An adapter's test calls `schedulerConformance`
 * with a function that opens an idle cluster; the cases use only the port, so they hold for real Slurm as well.
 * Jobs leave marks in files; waiting is for conditions, woken by `watch`.
 */
import assert from 'node:assert/strict';
import { appendFile, readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import {
  hasEnded,
  type NativeJob,
  type Scheduler,
  SchedulerError,
  type SchedulerErrorKind,
  type SchedulerJobSpec,
} from './scheduler.ts';

export interface SchedulerUnderTest {
  readonly scheduler: Scheduler;
  /** An existing folder that jobs and test both write to. */
  readonly marks: string;
  /** Closes the adapter, its jobs going on, runs `meanwhile`, and opens it anew. */
  reopen(meanwhile: () => Promise<void>): Promise<Scheduler>;
  /** Ends every job and whatever was started. */
  dispose(): Promise<void>;
}

export interface ConformanceFacts {
  /** A preemptable tier (by requeue), and one that preempts it. */
  readonly tiers: { readonly low: string; readonly high: string };
  /** The least time limit that is enforced as given. */
  readonly shortestTimeLimitSeconds: number;
}

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 250;

/** The first view of the job for which `holds`; rejects with the last view when patience ends. */
export async function untilJob(
  scheduler: Scheduler,
  nativeId: string,
  holds: (job: NativeJob) => boolean,
): Promise<NativeJob> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    let stop = (): void => {};
    const changed = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LOOK_EVERY_MS);
      const unwatch = scheduler.watch(resolve);
      stop = () => {
        clearTimeout(timer);
        unwatch();
      };
    });
    try {
      const job = await scheduler.show(nativeId);
      if (holds(job)) return job;
      assert.ok(performance.now() < deadline, `no longer waiting for job ${nativeId}: ${JSON.stringify(job)}`);
      await changed;
    } finally {
      stop();
    }
  }
}

export const untilEnded = (scheduler: Scheduler, nativeId: string): Promise<NativeJob> =>
  untilJob(scheduler, nativeId, (job) => hasEnded(job.state));

export async function untilMark(path: string, holds: (text: string) => boolean): Promise<string> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (holds(text)) return text;
    assert.ok(performance.now() < deadline, `no longer waiting for ${path}: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let keys = 0;

export function jobSpec(over: Partial<SchedulerJobSpec> = {}): SchedulerJobSpec {
  return {
    key: `conformance-${process.pid}-${++keys}`,
    name: 'conformance',
    project: 'demo',
    user: 'tester',
    tier: 'batch',
    script: '#!/bin/sh\nexit 0\n',
    arguments: [],
    environment: {},
    nodes: 1,
    slotsPerNode: 1,
    timeLimitSeconds: 600,
    requeue: true,
    claims: [],
    ...over,
  };
}

/** Appends its attempt to $1, then waits for $2 and ends with its text as exit code. */
export const WAITER =
  '#!/bin/sh\necho "$BEAMWAY_ATTEMPT" >> "$1"\nwhile [ ! -s "$2" ]; do sleep 0.05; done\nread code < "$2"\nexit "$code"\n';
/** Sleeps for ever in its first attempt, ends well in any later one. */
const RESUMED =
  '#!/bin/sh\necho "$BEAMWAY_ATTEMPT" >> "$1"\nif [ "$BEAMWAY_ATTEMPT" = 1 ]; then sleep 3600; fi\nexit 0\n';

export function schedulerConformance(
  name: string,
  facts: ConformanceFacts,
  open: () => Promise<SchedulerUnderTest>,
): void {
  const low = facts.tiers.low;
  const spec = (over: Partial<SchedulerJobSpec> = {}): SchedulerJobSpec => jobSpec({ tier: low, ...over });
  const withCluster = (run: (under: SchedulerUnderTest) => Promise<void>) => async (context: TestContext) => {
    const under = await open();
    context.after(() => under.dispose());
    await run(under);
  };
  const refused = (kind: SchedulerErrorKind) => (error: unknown) =>
    error instanceof SchedulerError && error.kind === kind;

  describe(`scheduler ${name}`, () => {
    it(
      'runs a job, keeps its output apart, and tells its exit code',
      withCluster(async ({ scheduler }) => {
        const submitted = await scheduler.submit(
          spec({
            script: '#!/bin/sh\necho out $BEAMWAY_ATTEMPT $COLOUR\necho err >&2\nexit 7\n',
            environment: { COLOUR: 'red' },
          }),
        );
        assert.ok(!hasEnded(submitted.state));
        const job = await untilEnded(scheduler, submitted.nativeId);
        const attempt = job.attempts[0];
        assert.deepEqual(
          [job.state, attempt?.outcome, attempt?.exitCode, job.attempts.length],
          ['failed', 'failed', 7, 1],
        );
        assert.ok((attempt?.endedAtMs ?? 0) >= (attempt?.startedAtMs ?? Number.POSITIVE_INFINITY));
        assert.equal(await readFile(attempt?.stdoutPath ?? '', 'utf8'), 'out 1 red\n');
        assert.equal(await readFile(attempt?.stderrPath ?? '', 'utf8'), 'err\n');
        assert.equal(attempt?.placement.length, 1);
        assert.equal((await untilEnded(scheduler, (await scheduler.submit(spec())).nativeId)).state, 'completed');
      }),
    );

    it(
      'hands arguments over as they are, metacharacters, newlines and Unicode too',
      withCluster(async ({ scheduler, marks }) => {
        const hostile = [
          '$(touch pwned)',
          '`id`',
          ';|&"\'<>*?[]{}~!#',
          '',
          ' ',
          'a\nb',
          '-n',
          'Jürgen 測定 🔬',
          '%s\\n',
        ];
        const job = await scheduler.submit(
          spec({
            script: `#!/bin/sh\nprintf '%s\\0' "$@" "$TRAP"\n`,
            arguments: hostile,
            environment: { TRAP: `$(touch ${marks}/pwned)\n` },
          }),
        );
        const ended = await untilEnded(scheduler, job.nativeId);
        const bytes = await readFile(ended.attempts[0]?.stdoutPath ?? '', 'utf8');
        assert.deepEqual(bytes.split('\0').slice(0, -1), [...hostile, `$(touch ${marks}/pwned)\n`]);
        await assert.rejects(readFile(`${marks}/pwned`));
      }),
    );

    it(
      'makes one job of one key, also when it is submitted many times at once or again after a restart',
      withCluster(async ({ scheduler, marks, reopen }) => {
        const one = spec({ script: '#!/bin/sh\necho ran >> "$1"\n', arguments: [`${marks}/ran`] });
        const many = await Promise.all(Array.from({ length: 10 }, () => scheduler.submit(one)));
        assert.equal(new Set(many.map((job) => job.nativeId)).size, 1);
        const nativeId = many[0]?.nativeId ?? '';
        await untilEnded(scheduler, nativeId);
        const again = await reopen(async () => {});
        assert.equal((await again.submit(one)).nativeId, nativeId);
        assert.equal((await again.list()).length, 1);
        assert.equal(await readFile(`${marks}/ran`, 'utf8'), 'ran\n');
      }),
    );

    it(
      'cancels a running and a queued job, and leaves an ended one as it is',
      withCluster(async ({ scheduler, marks }) => {
        const running = await scheduler.submit(spec({ script: WAITER, arguments: [`${marks}/start`, `${marks}/go`] }));
        await untilMark(`${marks}/start`, (text) => text !== '');
        await untilJob(scheduler, running.nativeId, (job) => job.state === 'running');
        const queued = await scheduler.submit(spec({ notBefore: Date.now() + 3_600_000 }));
        assert.match((await scheduler.show(queued.nativeId)).reason, /./, 'a queued job says why it waits');
        await scheduler.cancel(queued.nativeId);
        assert.equal((await untilEnded(scheduler, queued.nativeId)).state, 'cancelled');
        await scheduler.cancel(running.nativeId);
        const cancelled = await untilEnded(scheduler, running.nativeId);
        assert.deepEqual([cancelled.state, cancelled.attempts[0]?.outcome], ['cancelled', 'cancelled']);
        assert.equal((await scheduler.cancel(running.nativeId)).state, 'cancelled');
        const done = await untilEnded(scheduler, (await scheduler.submit(spec())).nativeId);
        assert.deepEqual(await scheduler.cancel(done.nativeId), done);
        await assert.rejects(scheduler.cancel('no-such-job'), refused('not-found'));
        await assert.rejects(scheduler.show('no-such-job'), refused('not-found'));
      }),
    );

    it(
      'ends a job at its time limit',
      withCluster(async ({ scheduler }) => {
        const job = await scheduler.submit(
          spec({ script: '#!/bin/sh\nsleep 3600\n', timeLimitSeconds: facts.shortestTimeLimitSeconds }),
        );
        const ended = await untilEnded(scheduler, job.nativeId);
        assert.deepEqual([ended.state, ended.attempts[0]?.outcome], ['timed-out', 'timed-out']);
      }),
    );

    it(
      'refuses what can never run and says which way',
      withCluster(async ({ scheduler }) => {
        const nodes = await scheduler.nodes();
        const widest = Math.max(...nodes.map((node) => node.slots));
        await assert.rejects(scheduler.submit(spec({ nodes: nodes.length + 1 })), refused('too-large'));
        await assert.rejects(scheduler.submit(spec({ slotsPerNode: widest + 1 })), refused('too-large'));
        await assert.rejects(scheduler.submit(spec({ tier: 'no-such-tier' })), refused('unknown-tier'));
        await assert.rejects(scheduler.submit(spec({ script: 'echo no interpreter line\n' })), refused('invalid'));
        await assert.rejects(scheduler.submit(spec({ arguments: ['a\0b'] })), refused('invalid'));
        assert.deepEqual(await scheduler.list(), []);
      }),
    );

    it(
      'gives way to an urgent job: a batch job is requeued and completes in its second attempt, one that may not be is cancelled',
      withCluster(async ({ scheduler, marks }) => {
        const nodes = await scheduler.nodes();
        const slotsPerNode = Math.min(...nodes.map((node) => node.slots));
        const fill = (i: number, requeue: boolean) =>
          scheduler.submit(spec({ slotsPerNode, requeue, script: RESUMED, arguments: [`${marks}/fill-${i}`] }));
        const filled = await Promise.all(nodes.map((_, i) => fill(i, i % 2 === 0)));
        for (const job of filled) await untilJob(scheduler, job.nativeId, (j) => j.state === 'running');
        for (const [i] of filled.entries()) await untilMark(`${marks}/fill-${i}`, (text) => text !== '');
        const urgent = await scheduler.submit(
          spec({
            tier: facts.tiers.high,
            nodes: nodes.length,
            slotsPerNode,
            script: WAITER,
            arguments: [`${marks}/urgent`, `${marks}/go`],
          }),
        );
        const running = await untilJob(scheduler, urgent.nativeId, (j) => j.state === 'running');
        assert.equal(running.attempts[0]?.placement.length, nodes.length);
        for (const [i, job] of filled.entries()) {
          // A scheduler may learn only a moment later why an attempt ended.
          const why = (j: NativeJob): boolean => j.attempts[0]?.outcome === 'preempted';
          const displaced = await untilJob(scheduler, job.nativeId, why);
          assert.equal(displaced.state, i % 2 === 0 ? 'queued' : 'cancelled');
        }
        await appendFile(`${marks}/go`, '0\n');
        assert.equal((await untilEnded(scheduler, urgent.nativeId)).state, 'completed');
        for (const job of filled.filter((_, i) => i % 2 === 0)) {
          const resumed = await untilEnded(scheduler, job.nativeId);
          assert.deepEqual(
            [resumed.state, resumed.attempts.map((a) => a.outcome)],
            ['completed', ['preempted', 'completed']],
          );
          assert.deepEqual(
            resumed.attempts.map((a) => a.attempt),
            [1, 2],
          );
        }
      }),
    );

    it(
      'preempts nobody while free slots suffice',
      withCluster(async ({ scheduler, marks }) => {
        const batch = await scheduler.submit(spec({ script: WAITER, arguments: [`${marks}/start`, `${marks}/go`] }));
        await untilJob(scheduler, batch.nativeId, (j) => j.state === 'running');
        assert.equal(
          (await untilEnded(scheduler, (await scheduler.submit(spec({ tier: facts.tiers.high }))).nativeId)).state,
          'completed',
        );
        assert.equal((await scheduler.show(batch.nativeId)).state, 'running');
      }),
    );

    it(
      'survives a restart: a running job is adopted, not started again, and one that ended meanwhile has its exit code',
      withCluster(async ({ scheduler, marks, reopen }) => {
        const stays = await scheduler.submit(
          spec({ script: WAITER, arguments: [`${marks}/stays`, `${marks}/stay-on`] }),
        );
        const ends = await scheduler.submit(spec({ script: WAITER, arguments: [`${marks}/ends`, `${marks}/end`] }));
        const waits = await scheduler.submit(spec({ notBefore: Date.now() + 3_600_000 }));
        for (const job of [stays, ends]) await untilJob(scheduler, job.nativeId, (j) => j.state === 'running');
        for (const mark of ['stays', 'ends']) await untilMark(`${marks}/${mark}`, (text) => text !== '');
        const again = await reopen(() => appendFile(`${marks}/end`, '9\n'));
        const ended = await untilEnded(again, ends.nativeId);
        assert.deepEqual([ended.state, ended.attempts[0]?.exitCode, ended.attempts.length], ['failed', 9, 1]);
        const adopted = await again.show(stays.nativeId);
        assert.deepEqual([adopted.state, adopted.attempts.length], ['running', 1]);
        assert.equal((await again.show(waits.nativeId)).state, 'queued');
        await appendFile(`${marks}/stay-on`, '0\n');
        assert.equal((await untilEnded(again, stays.nativeId)).state, 'completed');
        assert.equal(await readFile(`${marks}/stays`, 'utf8'), '1\n', 'it was started once');
      }),
    );

    it(
      'lists 200 submissions in order, and by state and project',
      withCluster(async ({ scheduler }) => {
        const notBefore = Date.now() + 3_600_000;
        const submitted: string[] = [];
        for (let i = 0; i < 200; i++)
          submitted.push((await scheduler.submit(spec({ notBefore, project: i % 2 === 0 ? 'even' : 'odd' }))).nativeId);
        assert.deepEqual(
          (await scheduler.list()).map((job) => job.nativeId),
          submitted,
        );
        assert.equal((await scheduler.list({ project: 'odd' })).length, 100);
        assert.equal((await scheduler.list({ states: ['queued'] })).length, 200);
        assert.equal((await scheduler.list({ states: ['running', 'completed'] })).length, 0);
      }),
    );
  });
}
