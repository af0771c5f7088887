/** A job as the port shows it, from its record and the model's last decision. Pure. */
import { whyWaiting } from '../../batch/index.ts';
import type { NativeAttempt, NativeJob, NativeJobState } from '../scheduler.ts';
import { attemptPaths } from './attempt-files.ts';
import { attemptFolder } from './job-folder.ts';
import { type AttemptRecord, lastAttempt, openAttempt } from './job-record.ts';
import type { LocalCluster, LocalJob } from './local-cluster.ts';

export function viewJob(cluster: LocalCluster, job: LocalJob): NativeJob {
  const { record } = job;
  const { spec, ended } = record;
  return {
    nativeId: record.nativeId,
    key: spec.key,
    name: spec.name,
    project: spec.project,
    user: spec.user,
    tier: spec.tier,
    ...stateOf(cluster, job),
    nodes: spec.nodes,
    slotsPerNode: spec.slotsPerNode,
    timeLimitSeconds: spec.timeLimitSeconds,
    requeue: spec.requeue,
    submittedAtMs: record.submittedAtMs,
    ...(ended === undefined ? {} : { endedAtMs: ended.atMs }),
    attempts: record.attempts.map((attempt) => viewAttempt(cluster, record.nativeId, attempt)),
  };
}

function stateOf(cluster: LocalCluster, job: LocalJob): { readonly state: NativeJobState; readonly reason: string } {
  const { record, ending } = job;
  if (record.ended !== undefined) return { state: record.ended.state, reason: record.ended.reason };
  const open = openAttempt(record);
  if (open !== undefined && ending?.cause === 'preempt')
    return { state: 'preempting', reason: `makes room for job ${ending.forJob ?? '?'}` };
  if (open !== undefined && ending !== undefined)
    return {
      state: 'completing',
      reason: ending.cause === 'cancel' ? 'is being cancelled' : 'the cluster is being shut down',
    };
  if (open?.startedAtMs !== undefined) return { state: 'running', reason: '' };
  if (open !== undefined)
    return { state: 'queued', reason: `is being started on ${open.placement.map((p) => p.node).join(', ')}` };
  if (cluster.phase !== 'open') return { state: 'queued', reason: 'the cluster is being shut down' };
  if (
    cluster.state.tiers[job.batch.tier] === undefined ||
    !cluster.options.tiers.some((t) => t.name === record.spec.tier)
  ) {
    return { state: 'queued', reason: `tier ${record.spec.tier} is not declared any more` };
  }
  const waits = whyWaiting(cluster.state, cluster.decision, { job: job.batch, nowMs: cluster.options.clock.now() });
  const last = lastAttempt(record);
  const before = last === undefined ? '' : `attempt ${last.attempt}: ${last.detail ?? last.outcome ?? ''}; `;
  return { state: 'queued', reason: `${before}${waits}` };
}

function viewAttempt(cluster: LocalCluster, nativeId: string, attempt: AttemptRecord): NativeAttempt {
  const paths = attemptPaths(attemptFolder(cluster.folders, nativeId, attempt.attempt));
  const { endedAtMs, outcome, exitCode, signal } = attempt;
  return {
    attempt: attempt.attempt,
    startedAtMs: attempt.startedAtMs ?? attempt.placedAtMs,
    placement: attempt.placement,
    stdoutPath: paths.stdout,
    stderrPath: paths.stderr,
    ...(endedAtMs === undefined ? {} : { endedAtMs }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
  };
}
