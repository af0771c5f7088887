/**
 * The agent's jobs: in memory, each backed by its folder. Owns the version that counts changes of records; one act at a time on a job, however many are asked at once.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { MappedUser, QueueRow, SlurmRead, SlurmWrite } from '../batch-order.ts';
import { type AttemptRecord, type JobRecord, SlurmFailure } from '../contract/index.ts';
import { loadJobStates, saveJobState } from './job-folder.ts';
import { type JobState, recordEnded } from './job-state.ts';
import type { FolderAttempt } from './read-attempts.ts';
import type { AgentSettings } from './settings.ts';

export interface AgentLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface AgentDeps {
  readonly settings: AgentSettings;
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly read: SlurmRead;
  readonly write: SlurmWrite;
  /** Whom a project's person runs as. Throws SlurmFailure `refused`. */
  readonly mapUser: (who: { readonly project: string; readonly person: string }) => Promise<MappedUser>;
  /** Throws SlurmFailure `invalid`. Returns the real path. */
  readonly checkPath: (field: string, path: string, roots: readonly string[]) => Promise<string>;
  /** Slurm's word for why a job waits, in plain ones. */
  readonly reason: (row: QueueRow) => string;
}

export interface AgentJob {
  state: JobState;
  /** What was last read of its folder, and of which row of the queue. */
  attempts: readonly FolderAttempt[];
  seen: string;
  /** The rows it was last settled from, where nothing more is awaited; a queue of thousands is then cheap to look at. */
  settledFrom: string;
  /** Why earlier runs ended, by attempt; from the accounting database. */
  readonly causes: Map<number, NonNullable<AttemptRecord['outcome']>>;
  /** How often it was released after Slurm could not start it, and when last. */
  launches: { readonly released: number; readonly atMs: number };
}

export interface AgentJobs {
  /** Of this process's life: a cursor of another one means nothing. */
  readonly instance: string;
  version(): number;
  all(): IterableIterator<AgentJob>;
  open(): readonly AgentJob[];
  /** Throws SlurmFailure `not-found`. */
  find(key: string): AgentJob;
  get(key: string): AgentJob | undefined;
  /** A new job whose folder has its name. */
  add(state: JobState): AgentJob;
  remove(key: string): void;
  /** Writes the state to the disk where more than the reason changed, and tells whoever watches. */
  save(job: AgentJob, next: JobState): Promise<void>;
  /** Runs alone for this job. */
  alone<T>(key: string, act: () => Promise<T>): Promise<T>;
  serial(): number;
  watch(listener: () => void): () => void;
}

export async function openAgentJobs(settings: AgentSettings, log: AgentLog): Promise<AgentJobs> {
  const jobs = new Map<string, AgentJob>();
  const turns = new Map<string, Promise<unknown>>();
  const listeners = new Set<() => void>();
  let version = 0;
  let serial = 0;
  const admit = (state: JobState): AgentJob => {
    const job: AgentJob = {
      state,
      attempts: [],
      seen: '',
      settledFrom: '',
      causes: knownCauses(state.record),
      launches: { released: 0, atMs: 0 },
    };
    jobs.set(state.order.key, job);
    serial = Math.max(serial, state.serial);
    return job;
  };
  const stamped = (state: JobState): JobState => {
    version += 1;
    return { ...state, record: { ...state.record, version } };
  };
  const loaded = await loadJobStates(settings.jobsRoot, (path) =>
    log.error({ path }, 'a job record is damaged; the job is left alone, and its key refused'),
  );
  for (const state of loaded) admit(stamped(state));
  return {
    instance: randomUUID(),
    version: () => version,
    all: () => jobs.values(),
    open: () => [...jobs.values()].filter((j) => !recordEnded(j.state.record.state)),
    find(key) {
      const job = jobs.get(key);
      if (job === undefined) throw new SlurmFailure({ kind: 'not-found', message: `no job ${key} here` });
      return job;
    },
    get: (key) => jobs.get(key),
    add(state) {
      const job = admit(stamped(state));
      for (const listener of listeners) listener();
      return job;
    },
    remove: (key) => void jobs.delete(key),
    async save(job, next) {
      if (sameState(job.state, next)) return;
      const durable = !sameState(job.state, { ...next, record: withReasonOf(next.record, job.state.record) });
      if (durable) await saveJobState(settings.jobsRoot, next);
      // The version and the record that has it appear at once: who asks for changes meanwhile would take the one for the other.
      job.state = stamped(next);
      for (const listener of listeners) listener();
    },
    async alone(key, act) {
      const before = turns.get(key) ?? Promise.resolve();
      const mine = before.then(act, act);
      const quiet = mine.then(
        () => undefined,
        () => undefined,
      );
      turns.set(key, quiet);
      try {
        return await mine;
      } finally {
        if (turns.get(key) === quiet) turns.delete(key);
      }
    },
    serial: () => ++serial,
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function knownCauses(record: JobRecord): AgentJob['causes'] {
  return new Map(
    record.attempts.flatMap((a) =>
      a.outcome === 'preempted' || a.outcome === 'node-failed' ? [[a.attempt, a.outcome] as const] : [],
    ),
  );
}

/** The reason and the expected start come from the queue again after a restart. */
function withReasonOf(record: JobRecord, other: JobRecord): JobRecord {
  const { expectedStartMs: _, ...rest } = record;
  const { reason, reasonCode, expectedStartMs } = other;
  return { ...rest, reason, reasonCode, ...(expectedStartMs === undefined ? {} : { expectedStartMs }) };
}

function sameState(a: JobState, b: JobState): boolean {
  const plain = (state: JobState): string => {
    const { version: _, ...record } = state.record;
    return JSON.stringify({ ...state, record: sorted(record) });
  };
  return plain(a) === plain(b);
}

const sorted = (value: object): object =>
  Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)));
