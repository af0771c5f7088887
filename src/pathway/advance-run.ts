/**
 * Carries out the moves of one run. Each effect is made under its own key, so a crash after the effect and before its row repeats nothing:
 * the next try finds what was made. architecture.md 1: level-triggered.
 */
import { cancelJob, type Job, jobById, jobEnded, submitJob } from '../compute/index.ts';
import { transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import type { Caller } from '../identity/index.ts';
import { resolveTarget, type Target } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { createStream, releaseStream, streamById, streamState } from '../streaming/index.ts';
import type { PathwayDeps } from './deps.ts';
import { type Effect, type EffectMove, effectKey, nextMoves, type Run } from './run.ts';
import { lockRun, saveEffect, saveRunState } from './store.ts';

/** True where something was done: call again at once. */
export async function advanceRun(deps: PathwayDeps, id: string): Promise<boolean> {
  return transaction(
    deps.db,
    async (trx) => {
      const run = await lockRun(trx, id);
      if (run === undefined) return false;
      let moved = false;
      for (const move of nextMoves(run)) {
        if ('state' in move) {
          await saveRunState(trx, run.id, {
            state: move.state,
            reason: move.reason,
            endedAt: move.kind === 'end' ? new Date(deps.clock.now()) : null,
          });
          await note(deps, run, {
            action: `run.${move.kind === 'end' ? 'ended' : 'failing'}`,
            detail: { state: move.state, reason: move.reason },
          });
          moved = true;
          continue;
        }
        const after = await carryOut(deps, run, move);
        if (after === move.effect) continue;
        await saveEffect(trx, run.id, after);
        moved = true;
      }
      return moved;
    },
    { attempts: 1 },
  );
}

async function carryOut(deps: PathwayDeps, run: Run, move: EffectMove): Promise<Effect> {
  const { effect } = move;
  try {
    switch (move.kind) {
      case 'make-stream':
        return await makeStream(deps, run, effect);
      case 'look-at-stream':
        return await lookAtStream(deps, effect);
      case 'make-job':
        return await makeJob(deps, run, effect);
      case 'look-at-job':
        return afterJob(effect, await jobOf(deps, effect));
      case 'cancel-job': {
        const job = await jobOf(deps, effect);
        return afterJob(effect, jobEnded(job.state) ? job : await cancelJob(deps.compute, job));
      }
      case 'release-stream':
        return await release(deps, run, effect);
    }
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    // What may pass is tried again on the next look; what will not fails the effect.
    if (cause.status >= 500 || cause.status === 429)
      return effect.reason === cause.message ? effect : { ...effect, reason: cause.message };
    return {
      ...effect,
      state: 'failed',
      reason: [cause.message, ...(cause.extras.errors ?? []).map((e) => e.detail)].join('; '),
    };
  }
}

/** A run of before its request was kept gets one of its own for each record. */
const requestOf = (run: Run): string => (run.requestId === '' ? newId('req') : run.requestId);
const actingFor = (run: Run): Caller => ({ kind: 'system', id: run.createdBy, subject: run.subject });
const targetOf = (deps: PathwayDeps, run: Run): Target => resolveTarget(deps.facility, actingFor(run), run);

async function makeStream(deps: PathwayDeps, run: Run, effect: Effect): Promise<Effect> {
  const wanted = run.workflow.streams[effect.name];
  if (wanted === undefined) throw new Error(`run ${run.id} has no stream ${effect.name}`);
  const stream = await createStream(deps.streaming, actingFor(run), {
    target: targetOf(deps, run),
    name: effect.name,
    template: wanted.template,
    parameters: wanted.parameters,
    key: effectKey(run, effect),
    requestId: requestOf(run),
  });
  await note(deps, run, { action: 'run.stream-made', detail: { name: effect.name, stream: stream.id } });
  return { ...effect, state: 'made', target: stream.id, reason: '' };
}

async function lookAtStream(deps: PathwayDeps, effect: Effect): Promise<Effect> {
  const stream = effect.target === null ? undefined : await streamById(deps.db, effect.target);
  if (stream === undefined) return { ...effect, state: 'failed', reason: 'the stream is gone' };
  const { state, reason } = streamState(stream, deps.clock.now());
  if (state === 'ready' || state === 'paused') return { ...effect, state: 'ready', reason: '' };
  if (state === 'releasing' || state === 'released') return { ...effect, state: 'failed', reason };
  return reason === effect.reason ? effect : { ...effect, reason };
}

async function makeJob(deps: PathwayDeps, run: Run, effect: Effect): Promise<Effect> {
  const step = run.workflow.steps[effect.name];
  if (step === undefined) throw new Error(`run ${run.id} has no step ${effect.name}`);
  const streams = Object.entries(step.streams).map(([name, role]) => {
    const target = run.effects.find((e) => e.kind === 'stream' && e.name === name)?.target;
    if (target === null || target === undefined) throw new Error(`stream ${name} of run ${run.id} was not made`);
    return { stream: target, name, role };
  });
  const { executable, tier, nodes, slotsPerNode, timeLimitSeconds, requeue, variables } = step;
  const job = await submitJob(deps.compute, actingFor(run), {
    target: targetOf(deps, run),
    // The step's words reach the program as argv; the shell only replaces itself with it.
    spec: {
      name: `${run.workflow.name}-${effect.name}`,
      tier,
      script: '#!/bin/sh\nexec "$@"\n',
      arguments: [executable, ...step.arguments],
      variables,
      nodes,
      slotsPerNode,
      timeLimitSeconds,
      requeue,
      streams,
    },
    key: effectKey(run, effect),
    requestId: requestOf(run),
  });
  await note(deps, run, { action: 'run.job-made', detail: { name: effect.name, job: job.id } });
  return afterJob({ ...effect, state: 'made', target: job.id, reason: '' }, job);
}

async function jobOf(deps: PathwayDeps, effect: Effect): Promise<Job> {
  const job = effect.target === null ? undefined : await jobById(deps.db, effect.target);
  if (job === undefined) throw new Error(`effect ${effect.name} has no job`);
  return job;
}

function afterJob(effect: Effect, job: Job): Effect {
  const state =
    job.state === 'completed'
      ? 'succeeded'
      : jobEnded(job.state)
        ? 'failed'
        : job.state === 'running'
          ? 'ready'
          : 'made';
  const reason = state === 'failed' ? `job ${job.id} ${job.state}: ${job.reason}` : job.reason;
  return effect.state === state && effect.reason === reason ? effect : { ...effect, state, reason };
}

async function release(deps: PathwayDeps, run: Run, effect: Effect): Promise<Effect> {
  if (effect.target === null) return { ...effect, state: 'released' };
  const stream = await releaseStream(deps.streaming, effect.target, `run ${run.id} is over`);
  if (stream.releasedAt === null) return effect;
  await note(deps, run, { action: 'run.stream-released', detail: { name: effect.name, stream: stream.id } });
  return { ...effect, state: 'released', reason: '' };
}

/** At least once, like every record of a reconciler: a crash may repeat it. */
async function note(
  deps: PathwayDeps,
  run: Run,
  event: { readonly action: string; readonly detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  await deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: requestOf(run),
    phase: 'event',
    callerKind: 'system',
    callerId: run.createdBy,
    subject: run.subject,
    project: run.project,
    action: event.action,
    resource: `run/${run.id}`,
    status: null,
    detail: event.detail,
  });
}
