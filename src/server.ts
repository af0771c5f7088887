/**
 * Composition root of the control plane: builds every room on one database and one clock, and gives back the handles that `up` and the tests
 * need. In parts: open-gate.ts (who may), open-work.ts (what is done), open-sign-in.ts and open-people.ts; the front door is put together here.
 */
import { join } from 'node:path';
import { pino } from 'pino';
import {
  auditRoutes,
  clusterFactRoutes,
  clusterRoutes,
  facilityRoutes,
  factorRoutes,
  httpServer,
  jobRoutes,
  lockdownRoutes,
  metricsRoutes,
  type OauthDeps,
  oauthRoutes,
  openRequestMetrics,
  openSockets,
  openTickets,
  pagesOrigin,
  peopleRoutes,
  policyRoutes,
  pruneClaims,
  type Routes,
  runRoutes,
  SOCKET_PATHS,
  signInRoutes,
  streamRoutes,
  terminalRoutes,
  tokenRoutes,
} from './api/index.ts';
import { sealChain } from './audit/index.ts';
import { systemClock } from './clock.ts';
import type { Closer, StopHow } from './closer.ts';
import type { Scheduler } from './compute/index.ts';
import { type DatabaseTarget, migrate, openDatabase, pruneOutbox, startQueue } from './database/index.ts';
import { type Facility, liveProjects } from './facility/index.ts';
import {
  type DevAccount,
  type IssueDeps,
  openIssuerKeys,
  type Provider,
  pruneExchanged,
  revokeToken,
  systemCaller,
} from './identity/index.ts';
import { MIGRATIONS } from './migrations.ts';
import { openGate } from './open-gate.ts';
import { openPeople } from './open-people.ts';
import { openSignIn } from './open-sign-in.ts';
import { openWork } from './open-work.ts';
import { loadPolicySet, pruneRateBuckets, recordPolicyLoad } from './policy/index.ts';
import { type FacilityFolder, readFacility } from './read-facility.ts';
import { every } from './regular-task.ts';

export { MIGRATIONS } from './migrations.ts';

export interface ServerOptions {
  readonly stateDir: string;
  /** Where local clusters keep their jobs; default: in the state folder. */
  readonly clustersDir?: string;
  readonly facilityDir: string;
  /** What was read of it already; absent: it is read now. */
  readonly folder?: FacilityFolder;
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
  /** By cluster; past the front door, for tests. */
  readonly schedulers: ReadonlyMap<string, Scheduler>;
  /** For issuing the bearers that `up` hands out. */
  readonly issue: IssueDeps;
  /** Revokes a bearer for good, as `by`. */
  revoke(id: string, by: string): Promise<void>;
  /** Reads the facility's policies anew. Throws PolicySetError, and the set in force stays, where they are faulty or fail their own tests. */
  reloadPolicy(): Promise<string>;
  /** Drains, then lets go. `endJobs`: running local jobs are ended too, and wait for the next start where they may be requeued. */
  stop(how: { readonly endJobs: boolean }): Promise<void>;
}

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

async function openServer(options: ServerOptions, closers: Closer[]): Promise<Omit<RunningServer, 'stop'>> {
  const { stateDir, target } = options;
  const clock = systemClock;
  const log = pino({ level: options.logLevel, base: { part: 'control' } }, pino.destination(2));
  const folder = options.folder ?? readFacility(options.facilityDir, options.limitFactor);
  const live = liveProjects(folder.facility);
  const { facility } = live;
  await migrate(target, MIGRATIONS, { clock, log });
  const database = openDatabase(target, { clock, log, maxConnections: 16 });
  closers.push(() => database.close());
  const db = database.kysely;
  const queue = await startQueue(database);
  closers.push(() => queue.stop());
  const gate = await openGate({ db, target, stateDir, folder, clock, log }, closers);
  const { audit, policy, verifier, keys, tokenUse, withinPurpose, pipeline, seal, circumstances } = gate;
  const { streaming, compute, pathway, executor, links } = await openWork(
    {
      database,
      queue,
      facility,
      templates: folder.templates,
      gate,
      clock,
      log,
      clustersDir: options.clustersDir ?? join(stateDir, 'clusters'),
      runAs: options.runAs,
    },
    closers,
  );
  const people = await openPeople(
    { db, clock, audit, verifier, live, settings: folder.people, log },
    options.devAccounts ?? [],
  );
  closers.push(() => people.stop());
  const tidy = async (): Promise<void> => {
    await pruneClaims(db, new Date(clock.now()));
    await pruneExchanged(db, new Date(clock.now()));
    await keys.turn();
    await pruneRateBuckets(db);
    await pruneOutbox(database, OUTBOX_KEEP);
  };
  closers.push(every(clock, TIDY_MS, tidy, log));
  closers.push(every(clock, SEAL_LOOK_MS, () => sealChain(seal, folder.auditRules), log));
  closers.push(every(clock, PEOPLE_LOOK_MS, () => people.sync(), log));
  closers.push(every(clock, NOTICE_LOOK_MS, () => people.notify(), log));

  const issue: IssueDeps = { db, clock, facility, rules: folder.tokenRules };
  let origin = options.publicUrl ?? '';
  const { login, factors, pages } = openSignIn(
    { ...pipeline, origin: () => origin },
    { settings: folder.signIn, devProviders: options.devProviders ?? [], stateDir, title: facility.title },
  );
  const oauth: OauthDeps = {
    ...issue,
    audit,
    keys,
    policy,
    tokenUse,
    limits: pipeline.limits,
    log,
    circumstances,
    federation: folder.federation,
    audiences: folder.federation.audiences,
    issuerKeys: openIssuerKeys({ clock, log }),
    issuer: () => origin,
    lockedDown: () => verifier.lockedDown(),
    bearer: (text, address) => verifier.verify(text, { address }),
  };
  const tickets = openTickets(clock);
  const sockets = openSockets({ tickets, limits: pipeline.limits, clock, log, paths: SOCKET_PATHS });
  const terminals = terminalRoutes({ ...compute, tickets, audit });
  closers.push(async () => terminals.stop());
  const requests = openRequestMetrics();
  const routes: Routes = {
    ...facilityRoutes(facility),
    ...signInRoutes(login, () => origin),
    ...factorRoutes(factors),
    ...tokenRoutes({ ...issue, verifier }),
    ...jobRoutes({ ...compute, policy, circumstances }),
    ...terminals.routes,
    ...clusterFactRoutes(compute),
    ...clusterRoutes({ db, clock, facility, schedulers: compute.schedulers, links, tickets, policy, circumstances }),
    ...streamRoutes(streaming),
    ...metricsRoutes({ database, clock, requests }),
    ...runRoutes(pathway, executor),
    ...lockdownRoutes({
      db,
      clock,
      verifier,
      mayReadNodes: (caller) =>
        policy.decide({ caller, action: 'node:read', resource: {}, circumstances: circumstances(caller, 'node:read') })
          .allowed,
    }),
    ...peopleRoutes(people.routes),
    ...oauthRoutes(oauth),
    ...policyRoutes({ db, clock, facility, policy, withinPurpose, settled: folder.people.roles }),
    ...auditRoutes({ ...seal, ...gate.auditKeys }),
  };
  const server = httpServer(
    { ...pipeline, pages, sockets, served: requests.served, trustedProxies: options.trustedProxies ?? [] },
    routes,
    log,
  );
  closers.push(() => server.close());
  const url = await server.listen(options.listen);
  origin = options.publicUrl ?? pagesOrigin(url);
  log.info({ url }, 'control plane listens');
  return {
    url,
    origin,
    facility,
    schedulers: compute.schedulers,
    issue,
    revoke: (id, by) => revokeToken({ db, clock, verifier }, systemCaller(by), id).then(() => undefined),
    async reloadPolicy() {
      const next = loadPolicySet(options.facilityDir);
      await recordPolicyLoad(audit, clock, next);
      policy.replace(next);
      log.info({ digest: next.digest }, 'another policy set is in force');
      return next.digest;
    },
  };
}
