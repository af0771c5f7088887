/** `beamway job history` and `beamway job foreign`: a cluster's accounting, and jobs that came past Beamway. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { CommandError } from './context.ts';
import { pointInTime, positiveInteger } from './parse-arguments.ts';
import { printJson, shortTime, table } from './print.ts';

interface HistoryOptions {
  readonly cluster?: string;
  readonly project?: string;
  readonly all?: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
  readonly after?: string;
  readonly json?: boolean;
}

/** The one that is named, or the only one there is that somebody else schedules. */
export async function clusterMeant(client: Client, named: string | undefined): Promise<string> {
  if (named !== undefined) return named;
  const { clusters } = await client.call('cluster.list');
  const candidates = clusters.length === 1 ? clusters : clusters.filter((c) => c.scheduler !== 'local');
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return only.name;
  throw new CommandError(`Name a cluster: one of ${clusters.map((c) => c.name).join(', ')}.`);
}

export function historyCommands(job: Command, client: () => Client): void {
  job
    .command('history')
    .description("jobs in a cluster's accounting, ours and those of other ways in")
    .option('--cluster <name>', 'default: the only one with accounting')
    .option('--project <name>', "default: the token's")
    .option('--all', 'the whole cluster; for operators')
    .option('--since <time>', 'such as 2026-12-01 (default: a day before --until)', (t: string) => pointInTime(t))
    .option('--until <time>', 'default: now', (t: string) => pointInTime(t))
    .option('--limit <count>', 'rows on a page', positiveInteger, 100)
    .option('--after <place>', '`next` of the page before, with the same --since and --until')
    .option('--json', 'print one JSON document')
    .action(async (options: HistoryOptions) => {
      const id = await clusterMeant(client(), options.cluster);
      const query = {
        limit: options.limit,
        ...(options.since === undefined ? {} : { since: options.since }),
        ...(options.until === undefined ? {} : { until: options.until }),
        ...(options.after === undefined ? {} : { after: options.after }),
      };
      const project = options.project === undefined ? {} : { project: options.project };
      const page =
        options.all === true
          ? await client().call('cluster.whole-history', { params: { id }, query })
          : await client().call('cluster.history', { params: { id }, query: { ...query, ...project } });
      if (options.json === true) return printJson(page);
      process.stdout.write(
        table(
          ['id', 'job', 'name', 'user', 'tier', 'state', 'exit', 'submitted', 'started', 'ended', 'nodes'],
          page.rows.map((r) => [
            ...[r.nativeId, r.job, r.name, r.user, r.tier, r.state, r.exitCode],
            ...[shortTime(r.submittedAt), shortTime(r.startedAt), shortTime(r.endedAt), r.nodes],
          ]),
        ),
      );
      if (page.next !== null)
        process.stdout.write(`\nmore: --since ${page.since} --until ${page.until} --after ${page.next}\n`);
    });

  job
    .command('foreign')
    .description("jobs in a cluster's queue that the project submitted past Beamway")
    .option('--cluster <name>', 'default: the only one with a queue of its own')
    .option('--project <name>', "default: the token's")
    .option('--json', 'print one JSON document')
    .action(async (options: { cluster?: string; project?: string; json?: boolean }) => {
      const id = await clusterMeant(client(), options.cluster);
      const query = options.project === undefined ? {} : { project: options.project };
      const { jobs } = await client().call('cluster.foreign', { params: { id }, query });
      if (options.json === true) return printJson({ jobs });
      process.stdout.write(
        table(
          ['id', 'name', 'user', 'partition', 'state', 'nodes', 'submitted', 'reason'],
          jobs.map((j) => [
            ...[j.nativeId, j.name, j.user, j.partition, j.state, j.nodes, shortTime(j.submittedAt), j.reason],
          ]),
        ),
      );
    });
}
