/**
 * Submits a job once. The folder comes first and says `sending`; Slurm is asked; the folder says `sent` with the number. A submit that finds `sending` looks for the job in the
 * queue by its comment, and where it is not there sends again under the next submission number: should the earlier one turn up after all, its wrapper finds the
 * fence moved and does nothing, and the poller cancels it. So one known job and its effects once, whatever dies when.
 */
import { readFileSync } from 'node:fs';
import type { BatchOrder, MappedUser, QueueRow } from '../batch-order.ts';
import { type JobRecord, SlurmFailure, type SubmitOrder } from '../contract/index.ts';
import type { AgentDeps, AgentJob, AgentJobs } from './agent-jobs.ts';
import { createJobFolder, jobFolder, removeJobFolder, writeClaims, writeFence } from './job-folder.ts';
import { commentOf, type JobState, lastSubmission, parseComment, recordEnded, withSubmission } from './job-state.ts';

const WRAPPER = readFileSync(new URL('wrapper.sh', import.meta.url), 'utf8');
const PLAIN_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Durable when it returns. SlurmFailure: invalid, refused, unknown-tier, too-large, limit; unavailable may be repeated. */
export function submitJob(deps: AgentDeps, jobs: AgentJobs, order: SubmitOrder): Promise<JobRecord> {
  return jobs.alone(order.key, async () => {
    const known = jobs.get(order.key);
    if (known === undefined) return submitNew(deps, jobs, order);
    if (known.state.order.asker.project !== order.asker.project)
      throw new SlurmFailure({ kind: 'refused', message: `key ${order.key} is another project's` });
    if (!recordEnded(known.state.record.state)) await writeClaims(deps.settings.jobsRoot, known.state, order.claims);
    if (lastSubmission(known.state)?.state === 'sending') await sendAgain(deps, jobs, known);
    return known.state.record;
  });
}

async function submitNew(deps: AgentDeps, jobs: AgentJobs, asked: SubmitOrder): Promise<JobRecord> {
  const { settings, clock } = deps;
  const user = await deps.mapUser(asked.asker);
  const order = await checked(deps, asked, user);
  const { claims, script, ...kept } = order;
  const nowMs = clock.now();
  const state: JobState = {
    serial: jobs.serial(),
    order: kept,
    unix: {
      name: user.name,
      uid: user.uid,
      gid: user.gid,
      group: user.group,
      account: user.account,
      roots: user.roots,
    },
    qos: settings.tiers[order.tier] ?? order.tier,
    submissions: [{ number: 1, state: 'sending', atMs: nowMs }],
    requeues: 0,
    cancelled: false,
    endedTasks: {},
    record: {
      version: 0,
      key: order.key,
      nativeId: '',
      name: order.name,
      project: order.asker.project,
      user: order.asker.person,
      unixUser: user.name,
      account: user.account,
      tier: order.tier,
      partition: order.partition ?? settings.defaultPartition ?? '',
      state: order.hold ? 'held' : 'queued',
      reasonCode: '',
      reason: 'handed to Slurm',
      nodes: order.nodes,
      slotsPerNode: order.slotsPerNode,
      timeLimitSeconds: order.timeLimitSeconds,
      requeue: order.requeue,
      submittedAtMs: nowMs,
      attempts: [],
    },
  };
  const dependency = dependencyOf(jobs, order);
  await createJobFolder(settings.jobsRoot, state, order).catch((cause: unknown) => {
    throw new SlurmFailure(
      { kind: 'unavailable', message: `the job's folder could not be made: ${textOf(cause)}` },
      { cause },
    );
  });
  const job = jobs.add(state);
  try {
    await send(deps, jobs, { job, dependency });
  } catch (cause) {
    if (cause instanceof SlurmFailure && cause.kind !== 'unavailable') {
      // Slurm has said no: there is nothing to find again.
      jobs.remove(order.key);
      await removeJobFolder(settings.jobsRoot, job.state);
    }
    throw cause;
  }
  return job.state.record;
}

/** Finds what may have arrived, or sends it under the next number. Also for a job that Slurm has lost. Runs alone for its key. */
export async function sendAgain(deps: AgentDeps, jobs: AgentJobs, job: AgentJob): Promise<void> {
  const found = await findInQueue(deps, job.state);
  const last = lastSubmission(job.state);
  if (found !== undefined && last !== undefined) {
    await jobs.save(job, arrived(job.state, { ...last, state: 'sent', nativeId: found.jobId }));
    return;
  }
  const superseded = last === undefined ? job.state : withSubmission(job.state, { ...last, state: 'superseded' });
  const next = withSubmission(superseded, {
    number: (last?.number ?? 0) + 1,
    state: 'sending',
    atMs: deps.clock.now(),
  });
  await writeFence(deps.settings.jobsRoot, next);
  const { missingSinceMs: _, ...rest } = next;
  await jobs.save(job, rest);
  await send(deps, jobs, { job, dependency: dependencyOf(jobs, job.state.order) });
}

/** The row of the last submission, by comment and user: anybody may write a comment like ours on a job of his own. */
export async function findInQueue(deps: AgentDeps, state: JobState): Promise<QueueRow | undefined> {
  const last = lastSubmission(state);
  const rows = (await deps.read.queue()).filter((row) => {
    const parts = parseComment(row.comment);
    return (
      parts?.instance === deps.settings.instance &&
      parts.key === state.order.key &&
      parts.submission === last?.number &&
      row.user === state.unix.name
    );
  });
  return rows.sort((a, b) => a.submitMs - b.submitMs)[0];
}

interface Sending {
  readonly job: AgentJob;
  readonly dependency: string | undefined;
}

async function send(deps: AgentDeps, jobs: AgentJobs, { job, dependency }: Sending): Promise<void> {
  const submission = lastSubmission(job.state);
  if (submission === undefined) throw new Error('a job without a submission');
  const nativeId = await deps.write.submit(batchOrder(deps, job.state, dependency), job.state.unix);
  await jobs.save(job, arrived(job.state, { ...submission, state: 'sent', nativeId, atMs: deps.clock.now() }));
  // slurmrestd of 22.05 drops requeue=false without a word. Should this fail, the wrapper starts no second attempt.
  if (!job.state.order.requeue)
    await deps.write.update(nativeId, job.state.unix, { requeue: false }).catch((cause: unknown) => {
      deps.log.warn({ job: job.state.order.key, err: cause }, 'a job could not be told not to be requeued');
    });
}

function arrived(state: JobState, submission: JobState['submissions'][number]): JobState {
  return withSubmission({ ...state, record: { ...state.record, nativeId: submission.nativeId ?? '' } }, submission);
}

function batchOrder(deps: AgentDeps, state: JobState, dependency: string | undefined): BatchOrder {
  const { settings } = deps;
  const { order } = state;
  const folder = jobFolder(settings.jobsRoot, state);
  const submission = lastSubmission(state)?.number ?? 1;
  const partition = order.partition ?? settings.defaultPartition;
  const { array } = order;
  return {
    name: order.name,
    account: state.unix.account,
    qos: state.qos,
    script: WRAPPER,
    environment: {
      PATH: PLAIN_PATH,
      BEAMWAY_CLUSTER: settings.cluster,
      BEAMWAY_JOB_ID: order.key,
      BEAMWAY_JOB_DIR: folder,
      BEAMWAY_SUBMISSION: String(submission),
      BEAMWAY_REQUEUE: order.requeue ? 'yes' : 'no',
      BEAMWAY_SLOTS: String(order.nodes * order.slotsPerNode),
    },
    comment: commentOf(settings.instance, order, submission),
    workDir: `${folder}/attempts`,
    stdoutPath: `${folder}/attempts/wrapper.out`,
    stderrPath: `${folder}/attempts/wrapper.out`,
    nodes: order.nodes,
    tasksPerNode: order.slotsPerNode,
    timeLimitMinutes: Math.ceil(order.timeLimitSeconds / 60),
    requeue: order.requeue,
    hold: order.hold,
    exclusive: order.exclusive,
    ...(partition === undefined ? {} : { partition }),
    ...(order.reservation === undefined ? {} : { reservation: order.reservation }),
    ...(order.memoryMiBPerNode === undefined ? {} : { memoryMiBPerNode: order.memoryMiBPerNode }),
    ...(order.notBeforeMs === undefined ? {} : { beginMs: order.notBeforeMs }),
    ...(order.gres === undefined ? {} : { gres: order.gres }),
    ...(order.constraint === undefined ? {} : { constraint: order.constraint }),
    ...(order.container === undefined ? {} : { container: order.container }),
    ...(array === undefined
      ? {}
      : {
          array: `${array.first}-${array.last}${array.step === 1 ? '' : `:${array.step}`}${array.atOnce === undefined ? '' : `%${array.atOnce}`}`,
        }),
    ...(dependency === undefined ? {} : { dependency }),
  };
}

const DEPENDENCY = { started: 'after', ended: 'afterany', succeeded: 'afterok', failed: 'afternotok' } as const;

/** As Slurm writes it. A job that has ended may be forgotten by Slurm: what is known of it is decided here. */
function dependencyOf(jobs: AgentJobs, order: Pick<SubmitOrder, 'dependsOn' | 'asker'>): string | undefined {
  const parts: string[] = [];
  for (const { key, when } of order.dependsOn) {
    const other = jobs.get(key)?.state;
    if (other === undefined || other.order.asker.project !== order.asker.project)
      throw new SlurmFailure({ kind: 'invalid', message: `dependsOn: there is no job ${key} of this project here` });
    const { state, nativeId } = other.record;
    if (!recordEnded(state)) {
      if (nativeId === '')
        throw new SlurmFailure({ kind: 'unavailable', message: `dependsOn: job ${key} is not in Slurm's queue yet` });
      parts.push(`${DEPENDENCY[when]}:${nativeId}`);
      continue;
    }
    const met = when === 'ended' || when === 'started' || (when === 'succeeded') === (state === 'completed');
    if (!met)
      throw new SlurmFailure({
        kind: 'invalid',
        message: `dependsOn: job ${key} is ${state}, and will never have ${when}`,
      });
  }
  return parts.length === 0 ? undefined : parts.join(',');
}

/** What the shape alone does not say. */
async function checked(deps: AgentDeps, order: SubmitOrder, user: MappedUser): Promise<SubmitOrder> {
  const invalid = (message: string): never => {
    throw new SlurmFailure({ kind: 'invalid', message });
  };
  const first = order.script.split('\n', 1)[0] ?? '';
  if (!first.startsWith('#!')) invalid('script: must start with an interpreter line such as #!/bin/sh');
  if (first.endsWith('\r')) invalid('script: its first line ends with CR; write it with Unix line ends');
  if (/[\u0000-\u001f\u007f]/.test(order.name)) invalid('name: holds a control character');
  const { array } = order;
  if (array !== undefined && array.last < array.first) invalid('array: last is before first');
  if (array !== undefined && order.claims.length > 0)
    invalid('array: a stream claim is one attempt’s; a job with streams is no array');
  const at = async (field: 'workDir' | 'stdoutPath' | 'stderrPath' | 'container') => {
    const path = order[field];
    return path === undefined ? {} : { [field]: await deps.checkPath(field, path, user.roots) };
  };
  return {
    ...order,
    ...(await at('workDir')),
    ...(await at('stdoutPath')),
    ...(await at('stderrPath')),
    ...(await at('container')),
  };
}

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
