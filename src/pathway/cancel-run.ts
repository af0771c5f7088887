/** Cancels a run: the wish is recorded, the executor cancels its jobs and releases its streams. An ended run stays as it is. */
import type { PathwayDeps } from './deps.ts';
import type { Run } from './run.ts';
import { runById, saveRunState } from './store.ts';

export async function cancelRun(deps: PathwayDeps, run: Run, by: string): Promise<Run> {
  if (run.state === 'running')
    await saveRunState(deps.db, run.id, { state: 'cancelling', reason: `cancelled by ${by}`, endedAt: null });
  return (await runById(deps.db, run.id)) ?? run;
}
