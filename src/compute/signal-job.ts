/** Sends a signal to a running job's processes. Not a cancellation: what the job makes of it is its own business, and a second one is a second signal. */
import type { ComputeDeps } from './deps.ts';
import type { Job } from './job.ts';
import { orderControl } from './order-control.ts';
import { type Asking, type JobSignal, type NativeJobState, SchedulerError } from './scheduler.ts';

export interface SignalOrder {
  readonly signal: JobSignal;
  readonly by: Asking;
}

/** Slurm says yes to a signal for a job that has no process, and does nothing: that would be a lie. */
const HAS_PROCESSES: ReadonlySet<NativeJobState> = new Set(['running', 'suspended', 'completing', 'preempting']);

/** Throws what `orderControl` throws; `conflict` where the job does not run. */
export function signalJob(deps: ComputeDeps, job: Job, { signal, by }: SignalOrder): Promise<Job> {
  return orderControl(deps, job, {
    feature: 'signal',
    async ask(control, id, scheduler) {
      const { state } = await scheduler.show(id);
      if (!HAS_PROCESSES.has(state))
        throw new SchedulerError('invalid', `The job is ${state}: there is nothing to signal.`);
      return control.signal(id, signal, by);
    },
  });
}
