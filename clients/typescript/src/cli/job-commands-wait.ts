/** `beamway job wait`, and what `submit --wait` shares with it. */
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { EXIT } from './context.ts';
import { printJson } from './print.ts';

type Job = Result<'job.show'>;

/** A lost job has ended: the scheduler has said its last word on it. */
const ENDED: readonly Job['state'][] = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'];
const LOOK_MS = 300;
const PATIENT_LOOK_MS = 2000;
/** Who waits longer than so many looks waits for a queue. */
const SHORT_LOOKS = 20;

export async function untilEnded(client: Client, id: string): Promise<Job> {
  for (let looks = 0; ; looks++) {
    const shown = await client.call('job.show', { params: { id } });
    if (ENDED.includes(shown.state)) return shown;
    await new Promise((resolve) => setTimeout(resolve, looks < SHORT_LOOKS ? LOOK_MS : PATIENT_LOOK_MS));
  }
}

export function waitCommand(job: Command, client: () => Client): void {
  job
    .command('wait')
    .argument('<id...>')
    .description('wait until jobs have ended; exit 1 unless all completed')
    .option('--json', 'print one JSON document')
    .action(async (ids: string[], options: { json?: boolean }) => {
      const jobs = await Promise.all(ids.map((id) => untilEnded(client(), id)));
      if (options.json === true) printJson({ jobs });
      else for (const each of jobs) process.stdout.write(`${each.id} ${each.state}: ${each.reason}\n`);
      if (jobs.some((each) => each.state !== 'completed')) process.exitCode = EXIT.failed;
    });
}
