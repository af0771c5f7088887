/** `beamway job …`: submit, list, show, cancel, read the output. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { type AttachmentText, attachment, duration, keyValue, positiveInteger } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

type Job = Result<'job.show'>;

const ENDED: readonly Job['state'][] = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'];
const FOLLOW_MS = 300;

interface SubmitOptions {
  readonly project?: string;
  readonly environment?: string;
  readonly name?: string;
  readonly tier: string;
  readonly nodes: number;
  readonly slots: number;
  readonly time: number;
  readonly requeue: boolean;
  readonly variable?: Record<string, string>;
  readonly stream?: AttachmentText[];
  readonly key?: string;
  readonly wait?: boolean;
  readonly json?: boolean;
}

export function jobCommands(program: Command, client: () => Client): void {
  const job = program.command('job').description('jobs on the facility’s clusters');

  job
    .command('submit')
    .argument('<script>', 'file that starts with an interpreter line such as #!/bin/sh; - reads standard input')
    .argument('[arguments...]', 'arguments for the script')
    .description('submit a job')
    .option('--project <name>')
    .option('--environment <name>')
    .option('--name <text>')
    .option('--tier <name>', 'urgency', 'batch')
    .option('--nodes <count>', 'nodes', positiveInteger, 1)
    .option('--slots <count>', 'processor slots on each node', positiveInteger, 1)
    .option('--time <duration>', 'time limit', duration, 3600)
    .option('--no-requeue', 'end, in place of queueing again, when preempted')
    .option('--variable <KEY=VALUE>', 'environment variable; may be repeated; nothing secret', keyValue)
    .option('--stream <NAME=STREAM:ROLE>', 'attach a stream; may be repeated', attachment)
    .option('--key <text>', 'Idempotency-Key: a second submission with it is the first job')
    .option('--wait', 'wait until the job has ended; exit 1 unless it completed')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  beamway job submit analyse.sh --tier urgent --slots 4 --time 10m\n  beamway job submit analyse.sh --stream frames=str_0123456789abcdefghjk:consumer -- --threshold 6\n',
    )
    .action(async (script: string, args: string[], options: SubmitOptions) => {
      const text = script === '-' ? readFileSync(0, 'utf8') : readText(script);
      const given = {
        ...(options.project === undefined ? {} : { project: options.project }),
        ...(options.environment === undefined ? {} : { environment: options.environment }),
      };
      const submitted = await client().call('job.submit', {
        body: {
          ...given,
          name: options.name ?? (script === '-' ? 'stdin' : (script.split('/').at(-1) ?? script)),
          tier: options.tier,
          script: text,
          arguments: args,
          variables: options.variable ?? {},
          nodes: options.nodes,
          slotsPerNode: options.slots,
          timeLimitSeconds: options.time,
          requeue: options.requeue,
          streams: options.stream ?? [],
        },
        ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      });
      const shown = options.wait === true ? await untilEnded(client(), submitted.id) : submitted;
      if (options.json === true) printJson(shown);
      else
        process.stdout.write(options.wait === true ? `${shown.id} ${shown.state}: ${shown.reason}\n` : `${shown.id}\n`);
      if (options.wait === true && shown.state !== 'completed') process.exitCode = EXIT.failed;
    });

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
            j.attempts.length,
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
          ['size', `${shown.nodes} x ${shown.slotsPerNode} slots, ${shown.timeLimitSeconds} s`],
          ['submitted', `${shortTime(shown.submittedAt)} by ${shown.submittedBy}`],
        ]),
      );
      if (shown.attempts.length === 0) return;
      process.stdout.write(
        `\n${table(
          ['attempt', 'started', 'ended', 'nodes', 'outcome', 'exit'],
          shown.attempts.map((a) => [
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

  job
    .command('cancel')
    .argument('<id...>')
    .description('cancel jobs; one that has ended is left as it is')
    .option('--json', 'print one JSON document')
    .action(async (ids: string[], options: { json?: boolean }) => {
      const cancelled: Job[] = [];
      for (const id of ids) cancelled.push(await client().call('job.cancel', { params: { id } }));
      if (options.json === true) return printJson({ jobs: cancelled });
      for (const each of cancelled) process.stdout.write(`${each.id} ${each.state}\n`);
    });

  job
    .command('logs')
    .argument('<id>')
    .description("print an attempt's output")
    .option('--stderr', 'the error output')
    .option('--attempt <number>', 'default: the newest', positiveInteger)
    .option('--follow', 'go on until the job has ended')
    .option('--json', 'print one JSON document; with --follow one a line for each part')
    .action(async (id: string, options: { stderr?: boolean; attempt?: number; follow?: boolean; json?: boolean }) => {
      const query = {
        file: options.stderr === true ? ('stderr' as const) : ('stdout' as const),
        ...(options.attempt === undefined ? {} : { attempt: options.attempt }),
      };
      let whole = '';
      for (let offset = 0; ; ) {
        const part = await client().call('job.output', { params: { id }, query: { ...query, offset } });
        if (options.json !== true) process.stdout.write(part.text);
        else if (options.follow === true) process.stdout.write(`${JSON.stringify(part)}\n`);
        else whole += part.text;
        const moved = part.nextOffset > offset;
        offset = part.nextOffset;
        if (!moved && (part.ended || options.follow !== true)) {
          if (options.json === true && options.follow !== true) printJson({ ...part, text: whole });
          return;
        }
        if (!moved) await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
      }
    });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CommandError(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

async function untilEnded(client: Client, id: string): Promise<Job> {
  for (;;) {
    const shown = await client.call('job.show', { params: { id } });
    if (ENDED.includes(shown.state)) return shown;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
  }
}
