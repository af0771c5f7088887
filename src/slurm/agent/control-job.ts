/** Cancels, holds, releases, requeues and changes a job. Slurm's answer is not the proof: the job is read again afterwards, by whoever calls `refresh`. */
import { type ActInput, type JobRecord, SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob, AgentJobs } from './agent-jobs.ts';
import { writeFence, writeRun } from './job-folder.ts';
import { type JobState, lastSubmission, recordEnded } from './job-state.ts';
import { findInQueue } from './submit-job.ts';

export interface Control {
  readonly deps: AgentDeps;
  readonly jobs: AgentJobs;
  /** Reads the job from Slurm and settles it. */
  readonly refresh: (job: AgentJob) => Promise<void>;
}

/** A job that has ended is left as it is. Without a signal, the wish is durable before Slurm hears of it. */
export async function cancelJob(control: Control, input: ActInput<'cancel'>): Promise<JobRecord> {
  const { deps, jobs } = control;
  return onJob(control, input.key, async (job) => {
    if (recordEnded(job.state.record.state)) return;
    if (input.signal === undefined) await jobs.save(job, { ...job.state, cancelled: true });
    const nativeId = await nativeIdOf(control, job);
    if (nativeId === undefined) return;
    await deps.write.cancel(nativeId, job.state.unix, input.signal);
  });
}

export function holdJob(control: Control, input: ActInput<'hold'>): Promise<JobRecord> {
  return onJob(control, input.key, async (job) => control.deps.write.hold(await known(control, job), job.state.unix));
}

export function releaseJob(control: Control, input: ActInput<'release'>): Promise<JobRecord> {
  return onJob(control, input.key, async (job) =>
    control.deps.write.release(await known(control, job), job.state.unix),
  );
}

/** The fence moves first: the wrapper must not take the exit record of before for the job's end. */
export function requeueJob(control: Control, input: ActInput<'requeue'>): Promise<JobRecord> {
  const { deps, jobs } = control;
  return onJob(control, input.key, async (job) => {
    const nativeId = await known(control, job);
    const next: JobState = { ...job.state, requeues: job.state.requeues + 1 };
    await writeFence(deps.settings.jobsRoot, next);
    await jobs.save(job, next);
    await deps.write.requeue(nativeId, job.state.unix);
  });
}

export function updateJob(control: Control, input: ActInput<'update'>): Promise<JobRecord> {
  const { deps, jobs } = control;
  return onJob(control, input.key, async (job) => {
    const { state } = job;
    const { timeLimitSeconds, tier, notBeforeMs, name } = input;
    const waits = state.record.state === 'queued' || state.record.state === 'held';
    if (timeLimitSeconds !== undefined && !waits && state.order.timeLimitSeconds % 60 !== 0)
      throw new SlurmFailure({
        kind: 'invalid',
        message:
          'timeLimitSeconds: this job was started with a limit in seconds, which its wrapper keeps; it cannot be changed while it runs',
      });
    const qos = tier === undefined ? undefined : (deps.settings.tiers[tier] ?? tier);
    await deps.write.update(await known(control, job), state.unix, {
      ...(timeLimitSeconds === undefined ? {} : { timeLimitMinutes: Math.ceil(timeLimitSeconds / 60) }),
      ...(qos === undefined ? {} : { qos }),
      ...(notBeforeMs === undefined ? {} : { beginMs: notBeforeMs }),
      ...(name === undefined ? {} : { name }),
    });
    const next: JobState = {
      ...state,
      qos: qos ?? state.qos,
      order: {
        ...state.order,
        ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
        ...(tier === undefined ? {} : { tier }),
        ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
        ...(name === undefined ? {} : { name }),
      },
      record: {
        ...state.record,
        ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
        ...(tier === undefined ? {} : { tier }),
      },
    };
    if (timeLimitSeconds !== undefined) await writeRun(deps.settings.jobsRoot, next);
    await jobs.save(job, next);
  });
}

async function onJob(control: Control, key: string, act: (job: AgentJob) => Promise<unknown>): Promise<JobRecord> {
  const job = control.jobs.find(key);
  return control.jobs.alone(key, async () => {
    job.settledFrom = '';
    await act(job);
    await control.refresh(job);
    return job.state.record;
  });
}

async function known(control: Control, job: AgentJob): Promise<string> {
  if (recordEnded(job.state.record.state))
    throw new SlurmFailure({ kind: 'invalid', message: `the job is ${job.state.record.state}` });
  const nativeId = await nativeIdOf(control, job);
  if (nativeId === undefined)
    throw new SlurmFailure({ kind: 'unavailable', message: 'the job is not in Slurm’s queue yet' });
  return nativeId;
}

/** Its number, but only while that is this very job's: numbers are given out again after a crash of slurmctld. */
async function nativeIdOf({ deps }: Control, job: AgentJob): Promise<string | undefined> {
  const last = lastSubmission(job.state);
  if (last?.nativeId === undefined) return (await findInQueue(deps, job.state))?.jobId;
  const row = (await deps.read.job(last.nativeId))?.[0];
  return row !== undefined && isOurs(row.comment, row.user, job.state) ? last.nativeId : undefined;
}

const isOurs = (comment: string, user: string, state: JobState): boolean =>
  user === state.unix.name && comment.includes(`:${state.order.key}:`);
