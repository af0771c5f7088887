/** The door of the room `pathway`: testbed to leadership. */
export { cancelRun } from './cancel-run.ts';
export { type CreateRunInput, createRun } from './create-run.ts';
export type { PathwayDeps } from './deps.ts';
export { executeRuns, type RunExecutor } from './execute-runs.ts';
export type { Run } from './run.ts';
export { pathwayMigrations, runById, runsPage } from './store.ts';
export { readWorkflow, type Workflow } from './workflow.ts';
