/** The door of the room `compute`: jobs. */
export { cancelJob } from './cancel-job.ts';
export type { ComputeDeps } from './deps.ts';
export { followJobs, type JobFollower } from './follow-jobs.ts';
export { type Attempt, type Job, type JobSpec, type JobState, jobEnded } from './job.ts';
export { type LocalScheduler, openLocalScheduler } from './local/open-local-scheduler.ts';
export { type ClusterUsage, projectUsage } from './project-usage.ts';
export { readOutput } from './read-output.ts';
export { type JobChange, recordJobChange } from './record-job-change.ts';
export { JOB_CHANGED } from './save-job.ts';
export { type Scheduler, SchedulerError, type SchedulerJobSpec, type StreamClaim } from './scheduler.ts';
export { type AgentLink, type AgentLinks, type AgentPeer, agentLinks } from './slurm/agent-links.ts';
export { openSlurmScheduler } from './slurm/open-slurm-scheduler.ts';
export { computeMigrations, jobById, jobsPage } from './store.ts';
export { type SubmitJobInput, submitJob } from './submit-job.ts';
