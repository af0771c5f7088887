/** The door of the room `compute`: jobs. */
export { cancelJob } from './cancel-job.ts';
export type { ClusterPolicy } from './cluster-policy.ts';
export type { ComputeDeps } from './deps.ts';
export { followJobs, type JobFollower } from './follow-jobs.ts';
export { type FollowQuery, followOutput, type OutputEvent, type OutputPlace } from './follow-output.ts';
export { holdJob } from './hold-job.ts';
export { type Attempt, type Job, type JobSpec, type JobState, jobEnded } from './job.ts';
export { foreignJobs, type HistoryAnswer, jobHistory } from './job-history.ts';
export { type LocalScheduler, openLocalScheduler } from './local/open-local-scheduler.ts';
export { openTerminal } from './open-terminal.ts';
export { type ClusterUsage, projectUsage } from './project-usage.ts';
export {
  type ClusterNode,
  clusterDiagnostics,
  clusterNodes,
  clusterPartitions,
  clusterReservations,
} from './read-cluster.ts';
export { readOutput } from './read-output.ts';
export { type JobChange, recordJobChange } from './record-job-change.ts';
export { releaseJob } from './release-job.ts';
export { requeueJob } from './requeue-job.ts';
export { JOB_CHANGED } from './save-job.ts';
export { type Asking, type Scheduler, SchedulerError, type SchedulerJobSpec, type StreamClaim } from './scheduler.ts';
export { signalJob } from './signal-job.ts';
export { type AgentLink, type AgentLinks, type AgentPeer, agentLinks } from './slurm/agent-links.ts';
export { openSlurmScheduler } from './slurm/open-slurm-scheduler.ts';
export { slurmClusterPolicy } from './slurm/slurm-cluster-policy.ts';
export { jobById, jobsPage } from './store.ts';
export { type JobWish, type SubmitJobInput, submitJob } from './submit-job.ts';
export { computeMigrations } from './tables-store.ts';
export { updateJob } from './update-job.ts';
