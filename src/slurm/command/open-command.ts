/** The command-line transport behind the agent's ports: one file per command. Reads are whole; of the writes, `submit` needs `become`. */
import type { Clock } from '../../clock.ts';
import type { SlurmRead, SlurmWrite } from '../batch-order.ts';
import { runCommand } from './run-command.ts';
import { sacct } from './sacct.ts';
import { sbatch } from './sbatch.ts';
import { scancel } from './scancel.ts';
import { scontrolHold } from './scontrol-hold.ts';
import { scontrolRelease } from './scontrol-release.ts';
import { scontrolRequeue } from './scontrol-requeue.ts';
import { scontrolShowNode } from './scontrol-show-node.ts';
import { scontrolShowPartition } from './scontrol-show-partition.ts';
import { scontrolShowReservation } from './scontrol-show-reservation.ts';
import { scontrolUpdate } from './scontrol-update.ts';
import { sdiag } from './sdiag.ts';
import { squeue } from './squeue.ts';

export interface CommandOptions {
  /** Absolute folder of Slurm's programs. */
  readonly binDir: string;
  readonly slurmConf: string;
  /** argv before a command that is to run as {user}, such as sudo -n -u {user} --. */
  readonly become?: readonly string[] | undefined;
  readonly clock: Clock;
}

export function openCommand(options: CommandOptions): SlurmRead & SlurmWrite {
  const run = runCommand(options);
  return {
    queue: async () => (await squeue(run)) ?? [],
    async job(jobId) {
      const rows = await squeue(run, jobId);
      return rows === undefined || rows.length === 0 ? undefined : rows;
    },
    history: (query) => sacct(run, query),
    nodes: () => scontrolShowNode(run),
    partitions: () => scontrolShowPartition(run),
    reservations: () => scontrolShowReservation(run),
    diagnostics: () => sdiag(run),
    submit: (order, user) => sbatch(run, { order, user, become: options.become, nowMs: options.clock.now() }),
    cancel: (jobId, _user, signal) => scancel(run, jobId, signal),
    hold: (jobId) => scontrolHold(run, jobId),
    release: (jobId) => scontrolRelease(run, jobId),
    requeue: (jobId) => scontrolRequeue(run, jobId),
    update: (jobId, _user, change) => scontrolUpdate(run, jobId, change),
  };
}
