/**
 * The agent: answers the closed list of acts from its jobs and from Slurm, and polls the queue. Knows nothing of how it is asked (agent-link.ts) nor of how Slurm is
 * spoken to (rest/, command/). Every answer about a job is its record after a fresh look where the act changed something.
 */
import type { QueueRow } from '../batch-order.ts';
import {
  ACTS,
  type ActInput,
  type ActName,
  type ActOutput,
  type ForeignJob,
  type JobRecord,
  SlurmFailure,
} from '../contract/index.ts';
import { type AgentDeps, type AgentJob, type AgentJobs, openAgentJobs } from './agent-jobs.ts';
import type { AskedBy } from './agent-link.ts';
import { type Control, cancelJob, holdJob, releaseJob, requeueJob, updateJob } from './control-job.ts';
import { removeJobFolder } from './job-folder.ts';
import { lastSubmission, parseComment, recordEnded } from './job-state.ts';
import { lacksCause, learnCauses } from './learn-causes.ts';
import { pollQueue, type QueuePoller } from './poll-queue.ts';
import { historyPage } from './read-history.ts';
import { readOutput } from './read-output.ts';
import { settleJob } from './settle-job.ts';
import { submitJob } from './submit-job.ts';

/** Acts of the second port, which stand in policy/. */
export type PolicyActs = {
  readonly [A in 'tiers' | 'setTier' | 'removeTier' | 'access' | 'grant' | 'withdraw' | 'reserve' | 'endReservation']: (
    input: ActInput<A>,
  ) => Promise<ActOutput<A>>;
};

export interface AgentParts extends AgentDeps {
  readonly policy: PolicyActs;
  /** Joins a terminal in the job to the control plane's end. Throws SlurmFailure. */
  readonly terminal: (job: AgentJob, input: ActInput<'terminal'>, from: AskedBy) => Promise<void>;
}

export interface SlurmAgent {
  readonly instance: string;
  version(): number;
  /** Does one act. SlurmFailure for what is not on the list, malformed, out of bounds, or cannot be done. */
  serve(act: string, input: unknown, from?: AskedBy): Promise<unknown>;
  /** `listener` is called after a record changed. */
  watch(listener: () => void): () => void;
  /** How often Slurm's queue was read. */
  looks(): number;
  stop(): Promise<void>;
}

type Server = { readonly [A in ActName]: (input: ActInput<A>, from: AskedBy) => Promise<ActOutput<A>> };

const PRUNE_MS = 3_600_000;

export async function openAgent(parts: AgentParts): Promise<SlurmAgent> {
  const jobs = await openAgentJobs(parts.settings, parts.log);
  const poller = pollQueue(parts, jobs);
  const server = serverOf(parts, jobs, poller);
  const prune = async (): Promise<void> => {
    const oldest = parts.clock.now() - parts.settings.keepDays * 86_400_000;
    for (const job of [...jobs.all()]) {
      const { record, order } = job.state;
      if (!recordEnded(record.state) || (record.endedAtMs ?? record.submittedAtMs) > oldest) continue;
      jobs.remove(order.key);
      await removeJobFolder(parts.settings.jobsRoot, job.state);
    }
    cancel = parts.clock.after(PRUNE_MS, () => void prune().catch(() => undefined));
  };
  let cancel = parts.clock.after(PRUNE_MS, () => void prune().catch(() => undefined));
  return {
    instance: jobs.instance,
    version: jobs.version,
    async serve(act, input, from = { url: '' }) {
      if (!Object.hasOwn(ACTS, act)) throw new SlurmFailure({ kind: 'invalid', message: `no act ${act.slice(0, 64)}` });
      const name = act as ActName;
      const read = ACTS[name].input.safeParse(input);
      if (!read.success)
        throw new SlurmFailure({
          kind: 'invalid',
          message: read.error.issues.map((i) => `${i.path.join('/')}: ${i.message}`).join('; '),
        });
      return (server[name] as (input: unknown, from: AskedBy) => Promise<unknown>)(read.data, from);
    },
    watch: jobs.watch,
    looks: poller.looks,
    async stop() {
      cancel();
      await poller.stop();
    },
  };
}

function serverOf(parts: AgentParts, jobs: AgentJobs, poller: QueuePoller): Server {
  const { read } = parts;
  const refresh = async (job: AgentJob): Promise<void> => {
    const last = lastSubmission(job.state);
    if (recordEnded(job.state.record.state) || last?.nativeId === undefined) return;
    const atMs = parts.clock.now();
    const rows = await read.job(last.nativeId);
    // What is gone from slurmctld is settled by the poller, which sees the whole queue.
    const own = (rows ?? []).filter((row) => belongs(row, job));
    if (own.length === 0) return;
    await settleJob(parts, jobs, job, { rows: own, atMs });
    // Why it was put back is known a moment later than that.
    for (let tries = 0; tries < 10 && lacksCause(job) && own[0]?.state === 'PENDING'; tries++) {
      if (tries > 0) await new Promise<void>((resolve) => void parts.clock.after(200, resolve));
      await learnCauses(parts, [job]);
      if (!lacksCause(job)) await settleJob(parts, jobs, job, { rows: own, atMs });
    }
  };
  const control: Control = { deps: parts, jobs, refresh };
  const acting = async (act: () => Promise<JobRecord>): Promise<JobRecord> => {
    const record = await act();
    poller.nudge();
    return record;
  };
  return {
    ...parts.policy,
    submit: (order) => acting(() => submitJob(parts, jobs, order)),
    async show({ key }) {
      const job = jobs.find(key);
      await jobs.alone(key, () => refresh(job));
      return job.state.record;
    },
    async changes({ instance, after }) {
      const complete = instance !== jobs.instance;
      const known = [...jobs.all()].filter((j) => j.state.record.nativeId !== '' || recordEnded(j.state.record.state));
      return {
        instance: jobs.instance,
        version: jobs.version(),
        complete,
        jobs: known.map((j) => j.state.record).filter((r) => complete || r.version > after),
      };
    },
    cancel: (input) => acting(() => cancelJob(control, input)),
    hold: (input) => acting(() => holdJob(control, input)),
    release: (input) => acting(() => releaseJob(control, input)),
    requeue: (input) => acting(() => requeueJob(control, input)),
    update: (input) => acting(() => updateJob(control, input)),
    output: async (input) => readOutput(parts, jobs.find(input.key), input),
    async foreign({ asker }) {
      const user = await parts.mapUser(asker);
      const rows = await read.queue();
      return { jobs: rows.filter((r) => r.account === user.account && !isKnown(parts, jobs, r)).map(foreignJob) };
    },
    history: (input) => historyPage(parts, input),
    nodes: async () => ({ nodes: [...(await read.nodes())] }),
    partitions: async () => ({ partitions: [...(await read.partitions())] }),
    reservations: async () => ({ reservations: [...(await read.reservations())] }),
    diagnostics: () => read.diagnostics(),
    async terminal(input, from) {
      const job = jobs.find(input.key);
      // It may have started, or ended, since the queue was last looked at.
      await jobs.alone(input.key, () => refresh(job));
      await parts.terminal(job, input, from);
      return {};
    },
  };
}

function belongs(row: QueueRow, job: AgentJob): boolean {
  const parts = parseComment(row.comment);
  return parts?.key === job.state.order.key && row.user === job.state.unix.name;
}

function isKnown(parts: AgentParts, jobs: AgentJobs, row: QueueRow): boolean {
  const comment = parseComment(row.comment);
  return comment?.instance === parts.settings.instance && jobs.get(comment.key) !== undefined;
}

function foreignJob(row: QueueRow): ForeignJob {
  return {
    nativeId: row.jobId,
    name: row.name,
    user: row.user,
    account: row.account,
    tier: row.qos,
    partition: row.partition,
    state: row.state,
    reason: row.reasonCode,
    nodes: row.nodes,
    submittedAtMs: row.submitMs,
  };
}
