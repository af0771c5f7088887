/** `beamway job hold`, `release`, `requeue`, `update`, `signal`, `cancel`. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CallInput, Client, Result } from '../client.ts';
import { CommandError } from './context.ts';
import { duration, pointInTime } from './parse-arguments.ts';
import { printJson } from './print.ts';

type Job = Result<'job.show'>;
type Signal = NonNullable<CallInput<'job.signal'>['body']>['signal'];

const SIGNALS: readonly Signal[] = ['TERM', 'INT', 'HUP', 'USR1', 'USR2', 'STOP', 'CONT', 'KILL'];

const PLAIN = {
  cancel: { operation: 'job.cancel', says: 'cancel jobs; one that has ended is left as it is' },
  hold: { operation: 'job.hold', says: 'hold waiting jobs: they are not started until they are released' },
  release: { operation: 'job.release', says: 'let held jobs be started' },
  requeue: { operation: 'job.requeue', says: "end running jobs' attempts and queue the jobs again" },
} as const;

interface UpdateOptions {
  readonly name?: string;
  readonly time?: number;
  readonly tier?: string;
  readonly at?: string;
  readonly json?: boolean;
}

export function controlCommands(job: Command, client: () => Client): void {
  for (const [verb, { operation, says }] of Object.entries(PLAIN))
    job
      .command(verb)
      .argument('<id...>')
      .description(says)
      .option('--json', 'print one JSON document')
      .action(async (ids: string[], options: { json?: boolean }) => {
        const jobs: Job[] = [];
        for (const id of ids) jobs.push(await client().call(operation, { params: { id } }));
        if (options.json === true) printJson({ jobs });
        else for (const each of jobs) line(each);
      });

  job
    .command('update')
    .argument('<id>')
    .description('change a job; what is left out stays as it is')
    .option('--name <text>')
    .option('--time <duration>', 'time limit, from 1 min', duration)
    .option('--tier <name>', 'urgency')
    .option('--at <time>', 'do not start it before: +2h, 2026-12-01T08:00', (t: string) => pointInTime(t))
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: UpdateOptions) => {
      const { name, time, tier, at } = options;
      const body = {
        ...(name === undefined ? {} : { name }),
        ...(time === undefined ? {} : { timeLimitSeconds: time }),
        ...(tier === undefined ? {} : { tier }),
        ...(at === undefined ? {} : { notBefore: at }),
      };
      if (Object.keys(body).length === 0) throw new CommandError('Say what to change: --name, --time, --tier or --at.');
      print(await client().call('job.update', { params: { id }, body }), options);
    });

  job
    .command('signal')
    .argument('<id>')
    .argument('<signal>', SIGNALS.join(', '), signalName)
    .description("send a signal to a running job's processes")
    .option('--json', 'print one JSON document')
    .action(async (id: string, signal: Signal, options: { json?: boolean }) => {
      print(await client().call('job.signal', { params: { id }, body: { signal } }), options);
    });
}

/** `USR1`, `SIGUSR1`, `usr1`. */
function signalName(text: string): Signal {
  const word = text.toUpperCase().replace(/^SIG/, '');
  const found = SIGNALS.find((s) => s === word);
  if (found === undefined) throw new InvalidArgumentError(`Write one of ${SIGNALS.join(', ')}.`);
  return found;
}

function print(job: Job, { json }: { readonly json?: boolean }): void {
  if (json === true) printJson(job);
  else line(job);
}

function line({ id, state, reason }: Job): void {
  process.stdout.write(`${id} ${state}${reason === '' ? '' : `: ${reason}`}\n`);
}
