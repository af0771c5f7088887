/**
 * The local cluster in memory: the batch model's state and, for each job, its record, its place in the model and whom
 * its attempt is followed by. One thread changes it, between awaits never half; the files are written behind it.
 */
import {
  type BatchJob,
  type BatchNode,
  type BatchState,
  createBatch,
  type Decision,
  type RunningJob,
  type TierSpec,
  tierTable,
} from '../../batch/index.ts';
import type { Clock } from '../../clock.ts';
import type { EndOrder } from './attempt-files.ts';
import type { Owner } from './durable-file.ts';
import type { JobFolders } from './job-folder.ts';
import type { JobRecord } from './job-record.ts';
import type { RunnerPool } from './runner-pool.ts';

export interface LocalTier extends TierSpec {
  /** Longer jobs are refused. */
  readonly maxTimeLimitSeconds?: number;
}

/** Fields first, as pino has it. */
export interface LocalLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface LocalSchedulerOptions {
  /** Everything the cluster knows lies here; one scheduler at a time may use it. */
  readonly stateDir: string;
  readonly cluster: string;
  readonly nodes: readonly BatchNode[];
  readonly tiers: readonly LocalTier[];
  readonly clock: Clock;
  readonly log: LocalLog;
  /** Scripts run as this user; needs root. Default: as we do. */
  readonly runAs?: Owner;
  /** Variables of every job, under the job's own. Default: a plain PATH. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Between SIGTERM and SIGKILL when a job is cancelled or its time is up. Default 2000. */
  readonly killGraceMs?: number;
  /** Runner processes kept ready. Default 2. */
  readonly spareRunners?: number;
}

export interface LocalJob {
  record: JobRecord;
  batch: BatchJob;
  /** While it holds slots. */
  running: RunningJob | undefined;
  /** The end its attempt was ordered to. */
  ending: EndOrder | undefined;
  /** Stops watching its attempt. */
  unfollow: (() => void) | undefined;
  /** Writes of its record, in order. */
  saved: Promise<void>;
}

export interface LocalCluster {
  readonly options: LocalSchedulerOptions;
  readonly folders: JobFolders;
  readonly killGraceMs: number;
  readonly state: BatchState;
  readonly jobs: Map<string, LocalJob>;
  /** By key: the job, once its submit is durable. */
  readonly keys: Map<string, Promise<LocalJob>>;
  /** Slot numbers in use per node. */
  readonly taken: readonly Set<number>[];
  readonly listeners: Set<() => void>;
  readonly pool: RunnerPool;
  decision: Decision;
  lastSerial: number;
  /** `ending`: nothing starts any more. `closed`: nothing happens any more. */
  phase: 'open' | 'ending' | 'closed';
  /** Asks for a decision soon; any number of calls make one. */
  wake: () => void;
}

/** Jobs of a tier that was taken out of the configuration wait until it is back. */
function withForgottenTiers(tiers: readonly LocalTier[], records: readonly JobRecord[]): readonly TierSpec[] {
  const names = new Set(tiers.map((tier) => tier.name));
  const forgotten = new Set(
    records.filter((r) => r.ended === undefined && !names.has(r.spec.tier)).map((r) => r.spec.tier),
  );
  const never = {
    priority: 0,
    preempts: [],
    preemptMode: 'requeue',
    graceSeconds: 5,
    limits: { runningJobs: 0 },
  } as const;
  return [...tiers, ...[...forgotten].map((name) => ({ ...never, name }))];
}

export function emptyCluster(
  options: LocalSchedulerOptions,
  pool: RunnerPool,
  records: readonly JobRecord[],
): LocalCluster {
  if (new Set(options.nodes.map((node) => node.name)).size < options.nodes.length)
    throw new RangeError('a node is declared twice');
  return {
    options,
    folders: { root: options.stateDir, runAs: options.runAs },
    killGraceMs: options.killGraceMs ?? 2000,
    state: createBatch(options.nodes, tierTable(withForgottenTiers(options.tiers, records))),
    jobs: new Map(),
    keys: new Map(),
    taken: options.nodes.map(() => new Set<number>()),
    listeners: new Set(),
    pool,
    decision: { start: [], preempt: [], promised: [] },
    lastSerial: 0,
    phase: 'open',
    wake: () => {},
  };
}

/** What a job with claims may wait for them before its time limit begins to run. */
const CLAIM_PATIENCE_MS = 30_000;

/** The job as the model sees it: it holds its slots for its time limit, the kill at its end and its start-up. */
export function batchJobOf(cluster: LocalCluster, record: JobRecord, notBeforeMs = record.spec.notBefore): BatchJob {
  const { spec } = record;
  return {
    id: record.nativeId,
    serial: record.serial,
    tier: cluster.state.tiers.findIndex((tier) => tier.name === spec.tier),
    nodes: spec.nodes,
    slotsPerNode: spec.slotsPerNode,
    timeLimitMs: spec.timeLimitSeconds * 1000 + cluster.killGraceMs + (spec.claims > 0 ? CLAIM_PATIENCE_MS : 0),
    submittedAtMs: record.submittedAtMs,
    ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
  };
}

export function tellListeners(cluster: LocalCluster): void {
  for (const listener of cluster.listeners) {
    try {
      listener();
    } catch (error) {
      cluster.options.log.error({ err: error }, 'a listener of the local scheduler failed');
    }
  }
}
