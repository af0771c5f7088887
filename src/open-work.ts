/**
 * Part of the control plane's composition root: what is done for people. Clusters, streams, jobs, runs, and the reconcilers that drive them: followers, the run executor,
 * the outbox and expiry. Knows which adapter stands behind the scheduler port.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditLog } from './audit/index.ts';
import type { Clock } from './clock.ts';
import type { Closer } from './closer.ts';
import {
  agentLinks,
  type ComputeDeps,
  followJobs,
  JOB_CHANGED,
  type JobChange,
  openLocalScheduler,
  openSlurmScheduler,
  recordJobChange,
  type Scheduler,
} from './compute/index.ts';
import { type Database, type DatabaseLog, type Queue, readOutbox } from './database/index.ts';
import type { Facility, LocalCluster } from './facility/index.ts';
import { newId } from './id.ts';
import { LOCKDOWN_CHANGED, TOKEN_REVOKED } from './identity/index.ts';
import type { Gate } from './open-gate.ts';
import { executeRuns, type PathwayDeps } from './pathway/index.ts';
import type { FacilityFolder } from './read-facility.ts';
import { every } from './regular-task.ts';
import {
  applyLockdown,
  checkAttachments,
  claimStreams,
  expireStreams,
  liveStreams,
  nodeWaiters,
  noteExpiring,
  registerNodes,
  releaseClaims,
  revokeIssued,
  type StreamingDeps,
  staleStreams,
} from './streaming/index.ts';

export interface WorkParts {
  readonly database: Database;
  readonly queue: Queue;
  readonly facility: Facility;
  readonly templates: FacilityFolder['templates'];
  readonly gate: Gate;
  readonly clock: Clock;
  readonly log: DatabaseLog;
  /** Where local clusters keep their jobs. */
  readonly clustersDir: string;
  /** Local jobs run as this user. */
  readonly runAs: { readonly uid: number; readonly gid: number } | undefined;
}

/** Expiry is prompt through a timer in the database; the sweep is what holds when one is late or lost. */
const SWEEP_MS = 5000;
const EXPIRY_QUEUE = 'stream-expiry';

export async function openWork(parts: WorkParts, closers: Closer[]) {
  const { database, queue, facility, templates, gate, clock, log } = parts;
  const { audit, policy, circumstances } = gate;
  const db = database.kysely;
  await warnOfStale(parts);
  const names = facility.streamingNodes.map((n) => n.name);
  for (const node of await registerNodes(db, names)) await recordNode(audit, clock, node);
  const schedulers = new Map<string, Scheduler>();
  const links = agentLinks({ clock, log });
  for (const cluster of facility.clusters)
    schedulers.set(
      cluster.name,
      cluster.scheduler === 'local'
        ? await openLocal(parts, cluster, closers)
        : openSlurmScheduler(links.link(cluster.name)),
    );
  const streaming: StreamingDeps = {
    db,
    clock,
    facility,
    templates,
    waiters: nodeWaiters(clock),
    authority: gate.authority,
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
    log,
  };
  const pathway: PathwayDeps = { db, clock, facility, audit, policy, circumstances, compute, streaming, log };
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
    log,
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
  closers.push(every(clock, SWEEP_MS, () => expireStreams(streaming), log));
  closers.push(every(clock, SWEEP_MS, () => noteExpiring(streaming), log));
  return { streaming, compute, pathway, executor, links };
}

/** Streams made from an earlier version of a template keep their terms: whoever changed it is told which. */
async function warnOfStale({ database, templates, log }: WorkParts): Promise<void> {
  for (const { stream, project, template, differences } of staleStreams(await liveStreams(database.kysely), templates))
    log.warn(
      { stream, project, template, differences },
      'a live stream keeps the terms of an earlier version of its template',
    );
}

async function openLocal(parts: WorkParts, cluster: LocalCluster, closers: Closer[]): Promise<Scheduler> {
  // 0711: jobs may run as another user, who must reach the folders below; each job's own is closed to others.
  mkdirSync(parts.clustersDir, { recursive: true, mode: 0o711 });
  const scheduler = await openLocalScheduler({
    stateDir: join(parts.clustersDir, cluster.name),
    cluster: cluster.name,
    nodes: cluster.nodes,
    tiers: [...parts.facility.tiers.values()],
    clock: parts.clock,
    log: parts.log,
    ...(parts.runAs === undefined ? {} : { runAs: parts.runAs }),
  });
  closers.push(({ endJobs }) => (endJobs ? scheduler.closeAndEndJobs() : scheduler.close()));
  return scheduler;
}

function recordNode(audit: AuditLog, clock: Clock, node: string): Promise<void> {
  return audit.append({
    at: new Date(clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: 'streaming',
    subject: 'streaming',
    project: null,
    action: 'node.registered',
    resource: `node/${node}`,
    status: null,
    detail: {},
  });
}

async function afterJobChanged(streaming: StreamingDeps, payload: unknown): Promise<void> {
  const { job, ended, streams } = payload as JobChange;
  if (ended) await releaseClaims(streaming, job, streams);
}
