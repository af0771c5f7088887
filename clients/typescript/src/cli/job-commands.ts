/** `beamway job …`: list and show; the other verbs have files of their own. */
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { controlCommands } from './job-commands-control.ts';
import { execCommand } from './job-commands-exec.ts';
import { historyCommands } from './job-commands-history.ts';
import { outputCommand } from './job-commands-output.ts';
import { submitCommand } from './job-commands-submit.ts';
import { waitCommand } from './job-commands-wait.ts';
import { positiveInteger } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

type Job = Result<'job.show'>;

export function jobCommands(program: Command, client: () => Client): void {
  const job = program.command('job').description('jobs on the facility’s clusters');

  submitCommand(job, client);

  job
    .command('list')
    .description('list jobs, newest first')
    .option('--project <name>')
    .option('--state <state>')
    .option('--limit <count>', 'at most so many', positiveInteger, 100)
    .option('--json', 'print one JSON document')
    .action(async (options: { project?: string; state?: Job['state']; limit: number; json?: boolean }) => {
      const { json, ...query } = options;
      const listed = await client().call('job.list', { query });
      if (json === true) return printJson(listed);
      process.stdout.write(
        table(
          ['id', 'name', 'project', 'tier', 'state', 'attempts', 'submitted', 'reason'],
          listed.jobs.map((j) => [
            j.id,
            j.name,
            j.project,
            j.tier,
            j.state,
            progress(j),
            shortTime(j.submittedAt),
            j.reason,
          ]),
        ),
      );
    });

  job
    .command('show')
    .argument('<id>')
    .description('show a job and its attempts')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { json?: boolean }) => {
      const shown = await client().call('job.show', { params: { id } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        details([
          ['id', shown.id],
          ['name', shown.name],
          ['project', `${shown.project} in ${shown.environment}`],
          ['cluster', `${shown.cluster} (${shown.nativeId ?? 'not there yet'})`],
          ['tier', shown.tier],
          ['state', `${shown.state}${shown.reason === '' ? '' : `: ${shown.reason}`}`],
          ...(shown.reasonCode === null ? [] : [['code', shown.reasonCode] as const]),
          ...(shown.expectedStart === null ? [] : [['expected start', shortTime(shown.expectedStart)] as const]),
          ...(shown.unixUser === null
            ? []
            : [['runs as', `${shown.unixUser} on account ${shown.account ?? '-'}`] as const]),
          ...(shown.partition === null ? [] : [['partition', shown.partition] as const]),
          ...(shown.tasks === null ? [] : [['tasks', progress(shown)] as const]),
          ...shown.dependsOn.map((d) => ['waits for', `${d.job} ${d.when}`] as const),
          ['size', `${shown.nodes} x ${shown.slotsPerNode} slots, ${shown.timeLimitSeconds} s`],
          ['submitted', `${shortTime(shown.submittedAt)} by ${shown.submittedBy}`],
        ]),
      );
      if (shown.attempts.length === 0) return;
      const isArray = shown.array !== null;
      process.stdout.write(
        `\n${table(
          [...(isArray ? ['task'] : []), 'attempt', 'started', 'ended', 'nodes', 'outcome', 'exit'],
          shown.attempts.map((a) => [
            ...(isArray ? [a.task] : []),
            a.attempt,
            shortTime(a.startedAt),
            shortTime(a.endedAt),
            a.placement.map((p) => p.node).join(','),
            a.outcome,
            a.exitCode ?? a.signal,
          ]),
        )}`,
      );
    });

  waitCommand(job, client);
  controlCommands(job, client);
  outputCommand(job, client);
  execCommand(job, client);
  historyCommands(job, client);
}

/** Of an array the tasks, else the attempts. */
function progress({ tasks, attempts }: Job): string | number {
  if (tasks === null) return attempts.length;
  return `${tasks.running} of ${tasks.total} run, ${tasks.completed + tasks.failed} done`;
}
