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
  factorRoutes,
  httpServer,
  jobRoutes,
  lockdownRoutes,
  type OauthDeps,
  oauthRoutes,
  openDenialTally,
  type PipelineDeps,
  pagesOrigin,
  peopleRoutes,
  policyRoutes,
  pruneClaims,
  type Routes,
  requestLimits,
  runRoutes,
  signInRoutes,
  streamRoutes,
  tokenRoutes,
} from './api/index.ts';
import {
  type AuditLog,
  auditMigrations,
  openAuditKeys,
  openAuditLog,
  readAuditRules,
  sealChain,
} from './audit/index.ts';
import { type Clock, systemClock } from './clock.ts';
import {
  type ComputeDeps,
  computeMigrations,
  followJobs,
  JOB_CHANGED,
  type JobChange,
  type LocalScheduler,
  openLocalScheduler,
  recordJobChange,
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
import { type Cluster, type Facility, liveProjects, loadFacility, type Tier } from './facility/index.ts';
import { newId } from './id.ts';
import {
  type Caller,
  type DevAccount,
  type IssueDeps,
  identityMigrations,
  isOutsidePurpose,
  LOCKDOWN_CHANGED,
  loadFederation,
  loadPeopleSettings,
  loadSignIn,
  loadTokenRules,
  openIssuerKeys,
  openSigningKeys,
  openTokenUse,
  openTokenVerifier,
  type Provider,
  pruneExchanged,
  revokeToken,
  systemCaller,
  TOKEN_REVOKED,
} from './identity/index.ts';
import { openPeople } from './open-people.ts';
import { openSignIn } from './open-sign-in.ts';
import { executeRuns, type PathwayDeps, pathwayMigrations } from './pathway/index.ts';
import {
  type Action,
  type Circumstances,
  databaseSource,
  loadLimitRules,
  loadPolicySet,
  openLeases,
  openPolicy,
  type PolicySet,
  policyAlarms,
  policyMigrations,
  pruneRateBuckets,
  recordPolicyLoad,
} from './policy/index.ts';
import {
  applyLockdown,
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
  /** Multiplies every rate, burst and cap of limits.yaml; 1 unless told. */
  readonly limitFactor?: number;
  /** CIDRs of proxies whose X-Forwarded-For is believed; none unless told. */
  readonly trustedProxies?: readonly string[];
  readonly logLevel: string;
  /** Scheme, host and port by which browsers know us; absent: as we listen. */
  readonly publicUrl?: string;
  /** Of `up --dev`: identity providers beside those of the facility. */
  readonly devProviders?: readonly Provider[];
  /** Of `up --dev`: people with their projects, beside those of people.yaml's sources. */
  readonly devAccounts?: readonly DevAccount[];
  /** Local jobs run as this user; needs root. */
  readonly runAs?: { readonly uid: number; readonly gid: number };
}

export interface RunningServer {
  readonly url: string;
  /** Scheme, host and port of the pages. */
  readonly origin: string;
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
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record', 'audit_period', 'audit_checkpoint'] },
  { room: 'identity', migrations: identityMigrations },
  { room: 'policy', migrations: policyMigrations },
  { room: 'compute', migrations: computeMigrations },
  { room: 'streaming', migrations: streamingMigrations },
  { room: 'pathway', migrations: pathwayMigrations },
  { room: 'api', migrations: apiMigrations },
];

/** Expiry is prompt through a timer in the database; the sweep is what holds when one is late or lost. */
const SWEEP_MS = 5000;
const EXPIRY_QUEUE = 'stream-expiry';
const TIDY_MS = 600_000;
const SEAL_LOOK_MS = 10_000;
const PEOPLE_LOOK_MS = 20_000;
const NOTICE_LOOK_MS = 900_000;
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
  const live = liveProjects(loadFacility(options.facilityDir));
  const { facility } = live;
  const peopleSettings = loadPeopleSettings(facility);
  const templates = loadTemplates(facility);
  const auditRules = readAuditRules(options.facilityDir);
  const rules = loadTokenRules(options.facilityDir);
  const signIn = loadSignIn(options.facilityDir);
  const federation = loadFederation(facility);
  const policySet = loadPolicySet(options.facilityDir);
  const limitRules = loadLimitRules(options.facilityDir, options.limitFactor);
  await migrate(options.target, MIGRATIONS, { clock, log: logger });
  const database = openDatabase(options.target, { clock, log: logger, maxConnections: 16 });
  closers.push(() => database.close());
  const db = database.kysely;
  const queue = await startQueue(database);
  closers.push(() => queue.stop());
  // Its own connections: a transaction that waits for its record must never hold the one that the record needs.
  const auditDatabase = openDatabase(options.target, { clock, log: logger, maxConnections: 2 });
  closers.push(() => auditDatabase.close());
  const audit = openAuditLog(auditDatabase.kysely);
  const auditFolder = join(options.stateDir, 'audit');
  const { signer, trusted, publicKeyPem } = openAuditKeys(auditFolder);
  const seal = { db, clock, audit, signer, file: join(auditFolder, 'checkpoints.jsonl') };
  const policy = openPolicy(policySet, logger, policyAlarms({ audit, clock, log: logger }));
  const leases = openLeases({
    source: databaseSource(db),
    clock,
    log: logger,
    shareWhenAway: limitRules.withoutDatabase.share,
  });
  closers.push(() => leases.close());
  const denials = openDenialTally(audit, clock);
  closers.push(async () => {
    denials.stop();
    await denials.flush().catch((cause: unknown) => logger.warn({ err: cause }, 'denials could not be written'));
    await audit.flush();
  });
  const added = await registerNodes(
    db,
    facility.streamingNodes.map((n) => n.name),
  );
  for (const node of added)
    await recordAct(audit, clock, { part: 'streaming', action: 'node.registered', resource: `node/${node}` });
  const policyLoaded = (set: PolicySet): Promise<void> => recordPolicyLoad(audit, clock, set);
  await policyLoaded(policySet);
  const verifier = await openTokenVerifier(db, clock, peopleSettings.roles);
  closers.push(() => verifier.stop());
  const keys = await openSigningKeys({
    db,
    clock,
    sealFile: join(options.stateDir, 'keys', 'signing-keys.json'),
    log: logger,
  });
  closers.push(() => keys.stop());
  const tokenUse = openTokenUse({ db, clock, rules, log: logger });
  closers.push(() => tokenUse.stop());
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
  const withinPurpose = (caller: Caller, action: Action): boolean => !isOutsidePurpose(rules, caller, action);
  const circumstances = (caller: Caller, action: Action): Circumstances => ({
    now: clock.now(),
    lockdown: verifier.lockedDown(),
    withinPurpose: withinPurpose(caller, action),
  });
  const pathway: PathwayDeps = { db, clock, facility, audit, policy, circumstances, compute, streaming, log: logger };
  for (const cluster of schedulers.keys()) {
    const follower = followJobs(compute, cluster);
    closers.push(() => follower.stop());
  }
  const executor = executeRuns(pathway);
  closers.push(() => executor.stop());

  const events = readOutbox(database, {
    topics: [TOKEN_REVOKED, LOCKDOWN_CHANGED, JOB_CHANGED],
    consumer: 'control',
    from: 'oldest',
    clock,
    log: logger,
    async handle(batch) {
      for (const event of batch) {
        if (event.topic === TOKEN_REVOKED) await revokeIssued(streaming, event.key);
        else if (event.topic === LOCKDOWN_CHANGED) await applyLockdown(streaming);
        else {
          await recordJobChange(audit, event);
          await afterJobChanged(streaming, event.payload);
        }
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
    async () => {
      await pruneClaims(db, new Date(clock.now()));
      await pruneExchanged(db, new Date(clock.now()));
      await keys.turn();
      await pruneRateBuckets(db);
      await pruneOutbox(database, OUTBOX_KEEP);
    },
    logger,
  );
  const seals = every(clock, SEAL_LOOK_MS, () => sealChain(seal, auditRules), logger);
  closers.push(sweep, tidy, seals);
  const people = await openPeople(
    { db, clock, audit, verifier, live, settings: peopleSettings, log: logger },
    options.devAccounts ?? [],
  );
  closers.push(() => people.stop());
  closers.push(every(clock, PEOPLE_LOOK_MS, () => people.sync(), logger));
  closers.push(every(clock, NOTICE_LOOK_MS, () => people.notify(), logger));

  const pipeline: PipelineDeps = {
    db,
    clock,
    verifier,
    tokenUse,
    withinPurpose,
    policy,
    audit,
    limits: requestLimits({ rules: limitRules, leases, clock }),
    denials,
    log: logger,
  };
  const issue: IssueDeps = { db, clock, facility, rules };
  let origin = options.publicUrl ?? '';
  const { login, factors, pages } = openSignIn(
    { ...pipeline, origin: () => origin },
    { settings: signIn, devProviders: options.devProviders ?? [], stateDir: options.stateDir, title: facility.title },
  );
  const oauth: OauthDeps = {
    ...issue,
    audit,
    keys,
    policy,
    tokenUse,
    circumstances,
    federation,
    audiences: federation.audiences,
    issuerKeys: openIssuerKeys({ clock, log: logger }),
    issuer: () => origin,
    lockedDown: () => verifier.lockedDown(),
    bearer: (text, address) => verifier.verify(text, { address }),
  };
  const routes: Routes = {
    ...facilityRoutes(facility),
    ...signInRoutes(login, () => origin),
    ...factorRoutes(factors),
    ...tokenRoutes({ ...issue, verifier }),
    ...jobRoutes(compute),
    ...streamRoutes(streaming),
    ...runRoutes(pathway, executor),
    ...lockdownRoutes({ db, clock, verifier }),
    ...peopleRoutes(people.routes),
    ...oauthRoutes(oauth),
    ...policyRoutes({ db, clock, facility, policy, withinPurpose, settled: peopleSettings.roles }),
    ...auditRoutes({ ...seal, trusted, publicKeyPem }),
  };
  const server = httpServer({ ...pipeline, pages, trustedProxies: options.trustedProxies ?? [] }, routes, logger);
  closers.push(() => server.close());
  const url = await server.listen(options.listen);
  origin = options.publicUrl ?? pagesOrigin(url);
  logger.info({ url }, 'control plane listens');
  return {
    url,
    origin,
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

/** What Beamway did by itself, in nobody's name. */
function recordAct(
  audit: AuditLog,
  clock: Clock,
  act: { readonly part: string; readonly action: string; readonly resource: string; readonly detail?: object },
): Promise<void> {
  return audit.append({
    at: new Date(clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: act.part,
    subject: act.part,
    project: null,
    action: act.action,
    resource: act.resource,
    status: null,
    detail: { ...act.detail },
  });
}

async function afterJobChanged(streaming: StreamingDeps, payload: unknown): Promise<void> {
  const { job, ended, streams } = payload as JobChange;
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
