import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Effect, type EffectState, effectKey, firstEffects, type Move, nextMoves, type Run } from './run.ts';
import type { Workflow, WorkflowStep } from './workflow.ts';

const step = (change: Partial<WorkflowStep>): WorkflowStep => ({
  executable: 'x',
  arguments: [],
  variables: {},
  tier: 'batch',
  nodes: 1,
  slotsPerNode: 1,
  timeLimitSeconds: 60,
  requeue: true,
  streams: {},
  after: [],
  ...change,
});

const startOf = (workflow: Workflow): Run => ({
  id: 'run_x',
  project: 'demo',
  environment: 'ace',
  workflow,
  state: 'running',
  reason: '',
  createdBy: 'tok_x',
  subject: 'someone',
  requestId: 'req_1',
  createdAt: new Date(0),
  endedAt: null,
  effects: firstEffects(workflow),
});

/** Up to four streams and five steps; a step comes after earlier ones only, so there is no circle. */
const workflows: fc.Arbitrary<Workflow> = fc
  .tuple(fc.nat(4), fc.array(fc.tuple(fc.nat(31), fc.nat(15)), { minLength: 1, maxLength: 5 }))
  .map(([count, steps]) => {
    const names = Array.from({ length: count }, (_, i) => `s${i}`);
    const chosen = (mask: number, from: readonly string[]): string[] => from.filter((_, i) => (mask & (1 << i)) !== 0);
    return {
      apiVersion: 'beamway/v1',
      kind: 'Workflow',
      name: 'w',
      title: '',
      parameters: {},
      streams: Object.fromEntries(names.map((n) => [n, { template: 't', parameters: {} }])),
      steps: Object.fromEntries(
        steps.map(([before, uses], i) => [
          `j${i}`,
          step({
            after: chosen(
              before,
              steps.slice(0, i).map((_, k) => `j${k}`),
            ),
            streams: Object.fromEntries(chosen(uses, names).map((n) => [n, 'consumer' as const])),
          }),
        ]),
      ),
    };
  });

/** What the world makes of each move: `luck` decides, and may also do nothing this time. */
interface World {
  readonly luck: (most: number) => number;
  readonly made: Map<string, number>;
  readonly released: Set<string>;
}

function outcome(run: Run, move: Extract<Move, { effect: Effect }>, world: World): Effect {
  const { effect } = move;
  const key = effectKey(run, effect);
  const to = (state: EffectState): Effect => ({ ...effect, state, reason: state === 'failed' ? 'bad luck' : '' });
  if (world.luck(4) === 0) return effect;
  switch (move.kind) {
    case 'make-stream':
    case 'make-job':
      if (world.luck(20) === 0) return to('failed');
      world.made.set(key, (world.made.get(key) ?? 0) + 1);
      return { ...to('made'), target: `target of ${key}` };
    case 'look-at-stream':
      return to(world.luck(15) === 0 ? 'failed' : 'ready');
    case 'look-at-job':
      return to((['ready', 'succeeded', 'succeeded', 'failed'] as const)[world.luck(4)] ?? 'ready');
    case 'cancel-job':
      return to((['made', 'failed', 'succeeded'] as const)[world.luck(3)] ?? 'failed');
    case 'release-stream':
      world.released.add(effect.name);
      return to('released');
  }
}

function check(run: Run, moves: readonly Move[]): void {
  const jobs = run.effects.filter((e) => e.kind === 'job');
  const live = jobs.filter((e) => e.state === 'made' || e.state === 'ready');
  for (const move of moves) {
    if (move.kind === 'release-stream' || move.kind === 'end')
      assert.deepEqual(live, [], 'streams are released, and the run ends, only after its jobs are over');
    if (move.kind === 'end') {
      const held = run.effects.filter((e) => e.kind === 'stream' && e.target !== null && e.state !== 'released');
      assert.deepEqual(held, [], 'no stream is left behind');
      if (move.state === 'completed') assert.ok(jobs.every((e) => e.state === 'succeeded'));
      if (run.state === 'failed' || run.state === 'cancelling') assert.notEqual(move.state, 'completed');
    }
    if (move.kind === 'make-stream' || move.kind === 'make-job') {
      assert.equal(run.state, 'running', 'nothing new is begun once the run is to end');
      assert.equal(move.effect.target, null);
      const { after = [], streams = {} } = run.workflow.steps[move.effect.name] ?? {};
      const stateOf = (kind: Effect['kind'], name: string) =>
        run.effects.find((e) => e.kind === kind && e.name === name)?.state;
      if (move.kind === 'make-job') {
        assert.ok(after.every((s) => stateOf('job', s) === 'succeeded'));
        assert.ok(Object.keys(streams).every((s) => stateOf('stream', s) === 'ready'));
      }
    }
  }
}

test('whatever happens a run ends, with nothing made twice and no stream left', () => {
  fc.assert(
    fc.property(workflows, fc.infiniteStream(fc.nat(999)), fc.option(fc.nat(20)), (workflow, dice, cancelAt) => {
      const world: World = {
        luck: (most) => Number(dice.next().value) % most,
        made: new Map(),
        released: new Set(),
      };
      let run = startOf(workflow);
      let turns = 0;
      for (; run.endedAt === null; turns++) {
        assert.ok(turns < 500, 'it takes for ever');
        if (turns === cancelAt && run.state === 'running') run = { ...run, state: 'cancelling' };
        const moves = nextMoves(run);
        assert.ok(moves.length > 0, 'a run that has not ended has something to do');
        check(run, moves);
        for (const move of moves) {
          if ('state' in move) {
            run = { ...run, state: move.state, reason: move.reason, endedAt: move.kind === 'end' ? new Date(1) : null };
            continue;
          }
          const after = outcome(run, move, world);
          run = { ...run, effects: run.effects.map((e) => (e === move.effect ? after : e)) };
        }
      }
      for (const [key, times] of world.made) assert.equal(times, 1, key);
      const made = run.effects.filter((e) => e.kind === 'stream' && e.target !== null).map((e) => e.name);
      assert.deepEqual([...world.released].sort(), made.sort());
      assert.ok(['completed', 'failed', 'cancelled'].includes(run.state));
      assert.deepEqual(nextMoves(run), []);
    }),
    { numRuns: 500 },
  );
});

test('a run whose stream failed while its last job succeeded has failed', () => {
  const workflow: Workflow = {
    apiVersion: 'beamway/v1',
    kind: 'Workflow',
    name: 'w',
    title: '',
    parameters: {},
    streams: { s: { template: 't', parameters: {} } },
    steps: { j: step({}) },
  };
  const run = startOf(workflow);
  const [stream, job] = run.effects;
  assert.ok(stream !== undefined && job !== undefined);
  const both: Run = {
    ...run,
    effects: [
      { ...stream, state: 'failed', reason: 'no room' },
      { ...job, state: 'succeeded', target: 'job_x' },
    ],
  };
  assert.deepEqual(nextMoves(both), [{ kind: 'fail', state: 'failed', reason: 'stream s: no room' }]);
  assert.deepEqual(nextMoves({ ...both, state: 'failed', reason: 'stream s: no room' }), [
    { kind: 'end', state: 'failed', reason: 'stream s: no room' },
  ]);
});

test('each effect has a key of its own, the same in every try', () => {
  const workflow: Workflow = {
    apiVersion: 'beamway/v1',
    kind: 'Workflow',
    name: 'w',
    title: '',
    parameters: {},
    streams: { same: { template: 't', parameters: {} } },
    steps: { same: step({}) },
  };
  const run = startOf(workflow);
  assert.deepEqual(
    run.effects.map((e) => effectKey(run, e)),
    ['run_x/stream/same', 'run_x/job/same'],
  );
});
