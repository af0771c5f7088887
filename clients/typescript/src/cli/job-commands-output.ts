/** `beamway job output` (also `logs`): prints what an attempt has written; with --follow as it is written, by events, or by asking again where a facility has none. */
import type { Command } from 'commander';
import { BeamwayProblem, BeamwayUnreachable, type Client } from '../client.ts';
import type { ReceivedEvent } from '../events.ts';
import { CommandError, EXIT } from './context.ts';
import { naturalNumber, positiveInteger } from './parse-arguments.ts';
import { printJson } from './print.ts';

interface OutputOptions {
  readonly stderr?: boolean;
  readonly task?: number;
  readonly attempt?: number;
  readonly allAttempts?: boolean;
  readonly follow?: boolean;
  readonly json?: boolean;
}

interface Query {
  readonly file: 'stdout' | 'stderr';
  readonly task?: number;
  readonly attempt?: number;
}

const LOOK_MS = 300;
const AGAIN_MS = 1000;
/** Connections that broke without a word, one after the other. */
const TRIES = 5;

export function outputCommand(job: Command, client: () => Client): void {
  job
    .command('output')
    .alias('logs')
    .argument('<id>')
    .description("print an attempt's output")
    .option('--stderr', 'the error output')
    .option('--task <number>', 'of an array: which task', naturalNumber)
    .option('--attempt <number>', 'default: the newest', positiveInteger)
    .option('--follow', 'go on until the attempt has ended')
    .option('--all-attempts', 'with --follow: from the first attempt to the end of the job')
    .option('--json', 'print one JSON document; with --follow one a line for each part')
    .action(async (id: string, options: OutputOptions) => {
      const query: Query = {
        file: options.stderr === true ? 'stderr' : 'stdout',
        ...(options.task === undefined ? {} : { task: options.task }),
        ...(options.attempt === undefined ? {} : { attempt: options.attempt }),
      };
      if (options.follow === true && (await followed(client(), { id, query, options }))) return;
      await poll(client(), { id, query, options });
    });
}

interface Wanted {
  readonly id: string;
  readonly query: Query;
  readonly options: OutputOptions;
}

async function poll(client: Client, { id, query, options }: Wanted): Promise<void> {
  let whole = '';
  for (let offset = 0; ; ) {
    const part = await client.call('job.output', { params: { id }, query: { ...query, offset } });
    if (options.json !== true) process.stdout.write(part.text);
    else if (options.follow === true) process.stdout.write(`${JSON.stringify(part)}\n`);
    else whole += part.text;
    const moved = part.nextOffset > offset;
    offset = part.nextOffset;
    if (!moved && (part.ended || options.follow !== true)) {
      if (options.json === true && options.follow !== true) printJson({ ...part, text: whole });
      return;
    }
    if (!moved) await pause(LOOK_MS);
  }
}

/** False where the facility has no such operation. Goes on from the last event where the connection breaks or the replica goes. */
async function followed(client: Client, { id, query, options }: Wanted): Promise<boolean> {
  const attempts = options.allAttempts === true ? ('all' as const) : ('one' as const);
  let place: string | undefined;
  for (let tries = 0; ; tries++) {
    try {
      const from = place === undefined ? {} : { lastEventId: place };
      for await (const event of client.events('job.follow', {
        params: { id },
        query: { ...query, attempts },
        ...from,
      })) {
        tries = 0;
        if (event.id !== '') place = event.id;
        if (take(event, options)) return true;
      }
    } catch (cause) {
      if (cause instanceof BeamwayProblem && isMissing(cause)) return false;
      const passes = cause instanceof BeamwayUnreachable || (cause instanceof BeamwayProblem && cause.status === 503);
      if (!passes || tries >= TRIES) throw cause;
    }
    await pause(AGAIN_MS);
  }
}

const isMissing = ({ code, status }: BeamwayProblem): boolean => code === 'no-such-route' || status === 405;

/** True at the end. Throws where the facility ends it for a reason that does not pass. */
function take({ event, data }: ReceivedEvent, { json }: OutputOptions): boolean {
  const said = typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
  if (event === 'output' && json !== true) process.stdout.write(String(said['text'] ?? ''));
  if (event === 'output' && json === true) process.stdout.write(`${JSON.stringify({ ...said, ended: false })}\n`);
  if (event === 'attempt' && json !== true)
    process.stderr.write(`beamway: attempt ${String(said['attempt'])} begins\n`);
  if (event === 'end' && json === true) process.stdout.write(`${JSON.stringify({ ...said, text: '', ended: true })}\n`);
  if (event === 'closed') {
    const code = String(said['code']);
    if (code !== 'draining' && code !== 'unavailable')
      throw new CommandError(`the facility ended it: ${String(said['detail'])}`, EXIT.refused);
  }
  return event === 'end';
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
