/**
 * Composition root of the control plane: builds every room on one database and one clock, and gives back the handles that `up` and the tests
 * need. The only place that knows which adapter stands behind which port.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import {
  apiMigrations,
  auditRoutes,
  facilityRoutes,
  httpServer,
  jobRoutes,
  type LimitRates,
  openDenialTally,
  type PipelineDeps,
  policyRoutes,
  pruneClaims,
  type Routes,
  requestLimits,
  runRoutes,
  streamRoutes,
  tokenRoutes,
} from './api/index.ts';
import { type AuditLog, auditMigrations, openAuditLog } from './audit/index.ts';
import { type Clock, systemClock } from './clock.ts';
import {
  type ComputeDeps,
  computeMigrations,
  followJobs,
  JOB_CHANGED,
  type LocalScheduler,
  openLocalScheduler,
  type Scheduler,
} from './compute/index.ts';

import {
  type DatabaseLog,
  type DatabaseTarget,
  databaseMigrations,
  migrate,
  openDatabase,
  pruneOutbox,
  type RoomMigrations,
  readOutbox,
  startQueue,
} from './database/index.ts';
import { type Cluster, type Facility, loadFacility, type Tier } from './facility/index.ts';
import { newId } from './id.ts';
import {
  type IssueDeps,
  identityMigrations,
  openTokenVerifier,
  revokeToken,
  systemCaller,
  TOKEN_REVOKED,
} from './identity/index.ts';
import { executeRuns, type PathwayDeps, pathwayMigrations } from './pathway/index.ts';
import { loadPolicySet, openPolicy, type PolicySet } from './policy/index.ts';
import {
  checkAttachments,
  claimStreams,
  expireStreams,
  loadTemplates,
  nodeWaiters,
  registerNodes,
  releaseClaims,
  revokeIssued,
  type StreamingDeps,
  streamingMigrations,
} from './streaming/index.ts';

export interface ServerOptions {
  readonly stateDir: string;
  /** Where local clusters keep their jobs; default: in the state folder. */
  readonly clustersDir?: string;
  readonly facilityDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly target: DatabaseTarget;
  readonly limits: LimitRates;
  readonly logLevel: string;
  /** Local jobs run as this user; needs root. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
}

export interface RunningServer {
  readonly url: string;
  readonly facility: Facility;
  /** For issuing the bearers that `up` hands out. */
  readonly issue: IssueDeps;
  /** Revokes a bearer for good, as `by`. */
  revoke(id: string, by: string): Promise<void>;
  /** Reads the facility's policies anew. Throws PolicySetError, and the set in force stays, where they are faulty or fail their own tests. */
  reloadPolicy(): Promise<string>;
  /** Drains, then lets go. `endJobs`: running local jobs are ended too, and wait for the next start where they may be requeued. */
  stop(how: { readonly endJobs: boolean }): Promise<void>;
}

/** All rooms' schema, in the order of their dependency. */
export const MIGRATIONS: readonly RoomMigrations[] = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record'] },
  { room: 'identity', migrations: identityMigrations },
  { room: 'compute', migrations: computeMigrations },
  { room: 'streaming', migrations: streamingMigrations },
  { room: 'pathway', migrations: pathwayMigrations },
  { room: 'api', migrations: apiMigrations },
];

/** Expiry is prompt through a timer in the database; the sweep is what holds when one is late or lost. */
const SWEEP_MS = 5000;
const EXPIRY_QUEUE = 'stream-expiry';
const TIDY_MS = 600_000;
const OUTBOX_KEEP = { keepMs: 3_600_000, forgetConsumersAfterMs: 30 * 86_400_000 };

/** Throws YamlError for a faulty facility folder, and what the database or a scheduler throws when it cannot start. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const closers: Closer[] = [];
  const close = async (how: StopHow): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer(how);
  };
  try {
    return { ...(await openServer(options, closers)), stop: close };
  } catch (cause) {
    await close({ endJobs: false });
    throw cause;
  }
}

interface StopHow {
  readonly endJobs: boolean;
}

/** Lets go of one thing; run in the reverse order of opening, after a failed start too. */
type Closer = (how: StopHow) => void | Promise<void>;

async function openServer(options: ServerOptions, closers: Closer[]): Promise<Omit<RunningServer, 'stop'>> {
  const clock = systemClock;
  const logger = pino({ level: options.logLevel, base: { part: 'control' } }, pino.destination(2));
  const facility = loadFacility(options.facilityDir);
  const templates = loadTemplates(facility);
  const policySet = loadPolicySet(options.facilityDir);
  const policy = openPolicy(policySet, logger);
  await migrate(options.target, MIGRATIONS, { clock, log: logger });
  const database = openDatabase(options.target, { clock, log: logger, maxConnections: 16 });
  closers.push(() => database.close());
  const db = database.kysely;
  await registerNodes(
    db,
    facility.streamingNodes.map((n) => n.name),
  );
  const queue = await startQueue(database);
  closers.push(() => queue.stop());
  const audit = openAuditLog(db);
  const denials = openDenialTally(audit, clock);
  closers.push(async () => {
    denials.stop();
    await denials.flush().catch((cause: unknown) => logger.warn({ err: cause }, 'denials could not be written'));
    await audit.flush();
  });
  const policyLoaded = (set: PolicySet): Promise<void> => recordPolicyLoad(audit, clock, set);
  await policyLoaded(policySet);
  const verifier = await openTokenVerifier(db, clock);
  closers.push(() => verifier.stop());
  const schedulers = new Map<string, Scheduler>();
  for (const cluster of facility.clusters) {
    const scheduler = await openCluster(options, cluster, { tiers: [...facility.tiers.values()], clock, logger });
    closers.push(({ endJobs }) => (endJobs ? scheduler.closeAndEndJobs() : scheduler.close()));
    schedulers.set(cluster.name, scheduler);
  }

  const streaming: StreamingDeps = {
    db,
    clock,
    facility,
    templates,
    waiters: nodeWaiters(clock),
    audit,
    async expireAt(trx, stream, at) {
      await queue.after(EXPIRY_QUEUE, { stream }, { startAfter: at, singletonKey: stream, trx });
    },
  };
  const compute: ComputeDeps = {
    db,
    clock,
    facility,
    schedulers,
    checkStreams: (job) => checkAttachments(streaming, job),
    claimStreams: (job) =>
      claimStreams(streaming, {
        id: job.id,
        project: job.project,
        environment: job.environment,
        issuedTo: job.submittedBy,
        streams: job.spec.streams,
      }),
    log: logger,
  };
  const pathway: PathwayDeps = { db, clock, facility, audit, policy, compute, streaming, log: logger };
  for (const cluster of schedulers.keys()) {
    const follower = followJobs(compute, cluster);
    closers.push(() => follower.stop());
  }
  const executor = executeRuns(pathway);
  closers.push(() => executor.stop());

  const events = readOutbox(database, {
    topics: [TOKEN_REVOKED, JOB_CHANGED],
    consumer: 'control',
    from: 'oldest',
    clock,
    log: logger,
    async handle(batch) {
      for (const event of batch) {
        if (event.topic === TOKEN_REVOKED) await revokeIssued(streaming, event.key);
        else await afterJobChanged(streaming, event.payload);
      }
      executor.wake();
    },
  });
  closers.push(() => events.stop());
  await queue.work(EXPIRY_QUEUE, async () => void (await expireStreams(streaming)));
  const sweep = every(clock, SWEEP_MS, () => expireStreams(streaming).then(() => undefined), logger);
  const tidy = every(
    clock,
    TIDY_MS,
    () => pruneClaims(db, new Date(clock.now())).then(() => pruneOutbox(database, OUTBOX_KEEP)),
    logger,
  );
  closers.push(sweep, tidy);

  const pipeline: PipelineDeps = {
    db,
    clock,
    verifier,
    policy,
    audit,
    limits: requestLimits(options.limits),
    denials,
    log: logger,
  };
  const issue: IssueDeps = { db, clock, facility };
  const routes: Routes = {
    ...facilityRoutes(facility),
    ...tokenRoutes({ ...issue, verifier }),
    ...jobRoutes(compute),
    ...streamRoutes(streaming),
    ...runRoutes(pathway, executor),
    ...policyRoutes({ db, clock, facility, policy }),
    ...auditRoutes({ db }),
  };
  const server = httpServer(pipeline, routes, logger);
  closers.push(() => server.close());
  const url = await server.listen(options.listen);
  logger.info({ url }, 'control plane listens');
  return {
    url,
    facility,
    issue,
    revoke: (id, by) => revokeToken({ db, clock, verifier }, systemCaller(by), id).then(() => undefined),
    async reloadPolicy() {
      const next = loadPolicySet(options.facilityDir);
      await policyLoaded(next);
      policy.replace(next);
      logger.info({ digest: next.digest }, 'another policy set is in force');
      return next.digest;
    },
  };
}

interface ClusterTools {
  readonly tiers: readonly Tier[];
  readonly clock: Clock;
  readonly logger: DatabaseLog;
}

function openCluster(options: ServerOptions, cluster: Cluster, tools: ClusterTools): Promise<LocalScheduler> {
  const root = options.clustersDir ?? join(options.stateDir, 'clusters');
  // 0711: jobs may run as another user, who must reach the folders below; each job's own is closed to others.
  mkdirSync(root, { recursive: true, mode: 0o711 });
  return openLocalScheduler({
    stateDir: join(root, cluster.name),
    cluster: cluster.name,
    nodes: cluster.nodes,
    tiers: tools.tiers,
    clock: tools.clock,
    log: tools.logger,
    ...(options.runAs === undefined ? {} : { runAs: options.runAs }),
  });
}

/** Before it is in force: a set nobody recorded never decides. */
function recordPolicyLoad(audit: AuditLog, clock: Clock, set: PolicySet): Promise<void> {
  const { digest, base, overlays } = set;
  return audit.append({
    at: new Date(clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: 'policy',
    subject: 'policy',
    project: null,
    action: 'policy.loaded',
    resource: `policy/${digest}`,
    status: null,
    detail: {
      base: base.map((p) => p.id),
      overlays: Object.fromEntries([...overlays].map(([name, list]) => [name, list.map((p) => p.id)])),
    },
  });
}

async function afterJobChanged(streaming: StreamingDeps, payload: unknown): Promise<void> {
  const { job, ended, streams } = payload as {
    readonly job: string;
    readonly ended: boolean;
    readonly streams: readonly string[];
  };
  if (ended) await releaseClaims(streaming, job, streams);
}

/** Runs `action` every so often, never twice at once; the returned function ends that. */
function every(
  clock: Clock,
  ms: number,
  action: () => Promise<unknown>,
  log: { warn(fields: object, text: string): void },
): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  const turn = (): void => {
    action()
      .catch((cause: unknown) => log.warn({ err: cause }, 'a regular task failed; it is tried again'))
      .finally(() => {
        if (!stopped) cancel = clock.after(ms, turn);
      });
  };
  cancel = clock.after(ms, turn);
  return () => {
    stopped = true;
    cancel();
  };
}
