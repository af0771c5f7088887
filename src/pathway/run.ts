/**
 * One execution of a workflow and its pure state. A run is a set of effects, each made once under a key of its own: a stream
 * provisioned, a job submitted. `nextMoves` says what is to be done from what is now; the executor only carries it out.
 */
import type { Workflow } from './workflow.ts';

export type RunState = 'running' | 'cancelling' | 'completed' | 'failed' | 'cancelled';
export type EffectState = 'waiting' | 'made' | 'ready' | 'succeeded' | 'failed' | 'released';

export interface Effect {
  readonly name: string;
  readonly kind: 'stream' | 'job';
  readonly state: EffectState;
  readonly target: string | null;
  readonly reason: string;
}

export interface Run {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly workflow: Workflow;
  readonly state: RunState;
  readonly reason: string;
  readonly createdBy: string;
  readonly subject: string;
  /** The request that started it; all it does is recorded under it. */
  readonly requestId: string;
  readonly createdAt: Date;
  readonly endedAt: Date | null;
  readonly effects: readonly Effect[];
}

export function firstEffects(workflow: Workflow): readonly Effect[] {
  const effect = (name: string, kind: Effect['kind']): Effect => ({
    name,
    kind,
    state: 'waiting',
    target: null,
    reason: '',
  });
  return [
    ...Object.keys(workflow.streams).map((n) => effect(n, 'stream')),
    ...Object.keys(workflow.steps).map((n) => effect(n, 'job')),
  ];
}

/** The key under which an effect is made, in this and every later try. */
export function effectKey(run: Run, effect: Effect): string {
  return `${run.id}/${effect.kind}/${effect.name}`;
}

export interface EffectMove {
  readonly kind: 'make-stream' | 'look-at-stream' | 'release-stream' | 'make-job' | 'look-at-job' | 'cancel-job';
  readonly effect: Effect;
}
export interface RunMove {
  readonly kind: 'fail' | 'end';
  readonly state: RunState;
  readonly reason: string;
}
export type Move = EffectMove | RunMove;

const jobOver = (e: Effect): boolean => e.state === 'succeeded' || e.state === 'failed';

/** Everything that can be done now. Empty only for an ended run. */
export function nextMoves(run: Run): readonly Move[] {
  if (run.endedAt !== null) return [];
  const streams = run.effects.filter((e) => e.kind === 'stream');
  const jobs = run.effects.filter((e) => e.kind === 'job');
  const failed = run.effects.find((e) => e.state === 'failed');
  if (run.state === 'running' && failed !== undefined)
    return [{ kind: 'fail', state: 'failed', reason: `${failed.kind} ${failed.name}: ${failed.reason}` }];
  const succeeded = jobs.every((e) => e.state === 'succeeded');
  if (run.state !== 'running' || succeeded) return unwind(run, streams, jobs);
  return [
    ...streams.flatMap((effect): Move[] =>
      effect.state === 'waiting'
        ? [{ kind: 'make-stream', effect }]
        : effect.state === 'made'
          ? [{ kind: 'look-at-stream', effect }]
          : [],
    ),
    ...jobs.flatMap((effect): Move[] => {
      if (effect.state === 'made' || effect.state === 'ready') return [{ kind: 'look-at-job', effect }];
      return effect.state === 'waiting' && mayStart(run, effect) ? [{ kind: 'make-job', effect }] : [];
    }),
  ];
}

function mayStart(run: Run, effect: Effect): boolean {
  const step = run.workflow.steps[effect.name];
  if (step === undefined) return false;
  const stateOf = (kind: Effect['kind'], name: string): EffectState | undefined =>
    run.effects.find((e) => e.kind === kind && e.name === name)?.state;
  return (
    step.after.every((s) => stateOf('job', s) === 'succeeded') &&
    Object.keys(step.streams).every((s) => stateOf('stream', s) === 'ready')
  );
}

/** Compensation, and the ordinary end: first the jobs are over, then the streams are released, then the run has ended. */
function unwind(run: Run, streams: readonly Effect[], jobs: readonly Effect[]): readonly Move[] {
  const live = jobs.filter((e) => (e.state === 'made' || e.state === 'ready') && !jobOver(e));
  if (live.length > 0) return live.map((effect): Move => ({ kind: 'cancel-job', effect }));
  const held = streams.filter((e) => e.target !== null && e.state !== 'released');
  if (held.length > 0) return held.map((effect): Move => ({ kind: 'release-stream', effect }));
  if (run.state === 'cancelling') return [{ kind: 'end', state: 'cancelled', reason: run.reason }];
  // A run that has failed stays failed, though every job may have succeeded: a stream of it had not.
  return [{ kind: 'end', state: run.state === 'failed' ? 'failed' : 'completed', reason: run.reason }];
}
