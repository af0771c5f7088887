/**
 * Timers and queued work on pg-boss 12, in its own schema `pgboss`: at-least-once, in the database, by any replica. What
 * is queued in a transaction exists if that commits. A job is picked up at once (NOTIFY); a timer, or a job whose NOTIFY
 * was lost, within a second (polling). State: pg-boss's pool and workers.
 */
import { randomUUID } from 'node:crypto';
import { fromKysely, type KyselyTransactionLike, PgBoss } from 'pg-boss';
import { clientConfig, connectPatiently, type Database } from './connect.ts';
import type { TransactionScope } from './outbox/emit.ts';

export type QueuePayload = Readonly<Record<string, unknown>>;

export interface AfterOptions {
  /** When to run it; absent: now. */
  readonly startAfter?: Date;
  /** While a job with this key waits, another `after` replaces its payload and time instead of adding one. */
  readonly singletonKey?: string;
  /** Queue it in this transaction. */
  readonly trx?: TransactionScope & KyselyTransactionLike;
}

export interface QueuedJob {
  readonly id: string;
  readonly payload: QueuePayload;
  /** 0 on the first attempt. */
  readonly retries: number;
  /** Aborted when the job takes too long or the queue stops. */
  readonly signal: AbortSignal;
}

export interface WorkOptions {
  /** Jobs at once in this process; 1 unless told. */
  readonly concurrency?: number;
}

export interface Queue {
  /** Queues a job and gives its id. Payloads are JSON objects and hold no secrets. */
  after(queue: string, payload: QueuePayload, options?: AfterOptions): Promise<string>;
  /** Runs `handle` for jobs of `queue`, one job a call. What it throws makes the job come again later, five times in all. */
  work(queue: string, handle: (job: QueuedJob) => Promise<void>, options?: WorkOptions): Promise<void>;
  /** Takes no more jobs, waits up to 10 s for running ones (left ones come again elsewhere), closes the connections. */
  stop(): Promise<void>;
}

export const QUEUE_SCHEMA = 'pgboss';
const POOL_CONNECTIONS = 3;
const POLL_EVERY_SECONDS = 1;
const STOP_PATIENCE_MS = 10_000;
/** One waiting job per key (pg-boss's policy `short`); a finished one is kept for a day, for looking at. */
const QUEUE_SETTINGS = {
  policy: 'short',
  notify: true,
  retryLimit: 4,
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 60,
  expireInSeconds: 900,
  deleteAfterSeconds: 86_400,
} as const;

/** Installs or upgrades pg-boss's tables and starts. The schema comes from databaseMigrations. */
export async function startQueue(database: Database): Promise<Queue> {
  const { target, options } = database;
  (await connectPatiently(database.pool, options)).release();
  // pg-boss hands these on to pg as they are; it needs pg's own parsers for int8 (it parses the text itself).
  const connection: object = { ...clientConfig(target, 'application', 'beamway-queue'), types: undefined };
  const boss = new PgBoss({
    ...connection,
    schema: QUEUE_SCHEMA,
    createSchema: false,
    max: POOL_CONNECTIONS,
    useListenNotify: true,
    schedule: false,
    registerInstance: false,
    openTelemetry: { enabled: false },
  });
  boss.on('error', (error) => options.log.warn({ error: String(error) }, 'queue: pg-boss failed and tries again'));
  boss.on('warning', (warning) => options.log.warn({ warning: warning.message }, 'queue: pg-boss warns'));
  await boss.start();

  const ready = new Map<string, Promise<void>>();
  const ensureQueue = (name: string): Promise<void> => {
    const known = ready.get(name);
    if (known !== undefined) return known;
    const made = boss.createQueue(name, QUEUE_SETTINGS).catch((error: unknown) => {
      ready.delete(name);
      throw error;
    });
    ready.set(name, made);
    return made;
  };

  return {
    async after(queue, payload, { startAfter, singletonKey = randomUUID(), trx } = {}) {
      await ensureQueue(queue);
      const db = trx === undefined ? {} : { db: fromKysely(trx) };
      const done = await boss.upsert(queue, payload, { singletonKey, startAfter: startAfter ?? new Date(0), ...db });
      const id = done.jobs[0];
      if (id === undefined) throw new Error(`queue ${queue}: pg-boss queued nothing for key ${singletonKey}`);
      return id;
    },
    async work(queue, handle, { concurrency = 1 } = {}) {
      await ensureQueue(queue);
      const polling = { pollingIntervalSeconds: POLL_EVERY_SECONDS, notifyPollingIntervalSeconds: POLL_EVERY_SECONDS };
      await boss.work<QueuePayload>(
        queue,
        { ...polling, localConcurrency: concurrency, batchSize: 1, includeMetadata: true },
        async (jobs) => {
          for (const job of jobs) {
            await handle({ id: job.id, payload: job.data, retries: job.retryCount, signal: job.signal });
          }
        },
      );
    },
    async stop() {
      await boss.stop({ graceful: true, timeout: STOP_PATIENCE_MS, close: true });
    },
  };
}
