/** `beamway run FILE` and `beamway run list|show|cancel`. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { keyValue } from './parse-arguments.ts';
import { printJson, shortTime, table } from './print.ts';

type Run = Result<'run.show'>;
const LOOK_MS = 300;

interface StartOptions {
  readonly project?: string;
  readonly environment?: string;
  readonly parameter?: Record<string, string>;
  readonly key?: string;
  readonly detach?: boolean;
  readonly json?: boolean;
}

export function runCommands(program: Command, client: () => Client): void {
  const run = program.command('run').description('workflow runs').enablePositionalOptions();

  const start = async (file: string, options: StartOptions): Promise<void> => {
    let workflow: string;
    try {
      workflow = readFileSync(file, 'utf8');
    } catch (cause) {
      throw new CommandError(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    const created = await client().call('run.create', {
      body: {
        workflow,
        parameters: options.parameter ?? {},
        ...(options.project === undefined ? {} : { project: options.project }),
        ...(options.environment === undefined ? {} : { environment: options.environment }),
      },
      ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
    });
    if (options.detach === true) {
      if (options.json === true) printJson(created);
      else process.stdout.write(`${created.id}\n`);
      return;
    }
    const ended = await follow(
      client(),
      created,
      options.json === true ? () => undefined : (line) => process.stderr.write(`${line}\n`),
    );
    if (options.json === true) printJson(ended);
    else process.stdout.write(`${ended.id} ${ended.state}${ended.reason === '' ? '' : `: ${ended.reason}`}\n`);
    if (ended.state !== 'completed') process.exitCode = EXIT.failed;
  };
  const withStartOptions = (command: Command): Command =>
    command
      .option('--project <name>')
      .option('--environment <name>')
      .option('--parameter <KEY=VALUE>', 'value for a parameter the workflow declares; may be repeated', keyValue)
      .option('--key <text>', 'Idempotency-Key: a second call with it is the first run')
      .option('--detach', 'print the run’s id and do not follow it')
      .option('--json', 'print one JSON document');

  withStartOptions(run.argument('[file]', 'workflow.yaml'))
    .addHelpText('after', '\nExample:\n  beamway run examples/lclstream/workflow.yaml --environment ace\n')
    .action((file: string | undefined, options: StartOptions) => {
      if (file === undefined) throw new CommandError('Name a workflow file: beamway run workflow.yaml');
      return start(file, options);
    });
  withStartOptions(
    run.command('create').argument('<file>', 'workflow.yaml').description('start a workflow and follow it to its end'),
  ).action((file: string, options: StartOptions) => start(file, options));

  run
    .command('list')
    .description('list runs, newest first')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const listed = await client().call('run.list');
      if (options.json === true) return printJson(listed);
      process.stdout.write(
        table(
          ['id', 'workflow', 'environment', 'state', 'created', 'reason'],
          listed.runs.map((r) => [r.id, r.workflow, r.environment, r.state, shortTime(r.createdAt), r.reason]),
        ),
      );
    });

  run
    .command('show')
    .argument('<id>')
    .description('show a run and what it has made')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { json?: boolean }) => {
      const shown = await client().call('run.show', { params: { id } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        `${shown.id} ${shown.workflow} ${shown.state} ${shown.reason}\n\n${table(
          ['name', 'kind', 'state', 'target', 'reason'],
          shown.effects.map((e) => [e.name, e.kind, e.state, e.target, e.reason]),
        )}`,
      );
    });

  run
    .command('cancel')
    .argument('<id>')
    .description('cancel a run: its jobs are cancelled and its streams released')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { json?: boolean }) => {
      const cancelled = await client().call('run.cancel', { params: { id } });
      if (options.json === true) return printJson(cancelled);
      process.stdout.write(`${cancelled.id} ${cancelled.state}\n`);
    });
}

async function follow(client: Client, created: Run, say: (line: string) => void): Promise<Run> {
  const seen = new Map<string, string>();
  for (let run = created; ; run = await client.call('run.show', { params: { id: created.id } })) {
    for (const effect of run.effects) {
      if (seen.get(effect.name) === effect.state) continue;
      seen.set(effect.name, effect.state);
      say(`${effect.kind} ${effect.name}: ${effect.state}${effect.target === null ? '' : ` (${effect.target})`}`);
    }
    if (run.endedAt !== null) return run;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
