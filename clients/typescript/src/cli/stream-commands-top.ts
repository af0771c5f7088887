/** `beamway stream top`: streams with their rates, looked at again and again, until it is interrupted. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { Client } from '../client.ts';
import { positiveInteger } from './parse-arguments.ts';
import { bytes, table } from './print.ts';
import {
  type Look,
  ratesBetween,
  SORT_KEYS,
  type SortKey,
  type StreamRates,
  sortRates,
  warningsOf,
} from './stream-rates.ts';

const CLEAR = '\u001b[H\u001b[2J';
/** Nodes report once a second: oftener shows nothing new. */
const EVERY_SECONDS = 2;

const EXAMPLES = `
Examples:
  beamway stream top                            until Ctrl-C
  beamway stream top --sort fill
  beamway stream top --once --json | jq -c '.streams[] | {name, bytesIn}'

Rates are means between two looks; buffered, fill, producers and consumers are of now; dropped, refused and unconfirmed since the stream was
made. Sorted most first, by ${SORT_KEYS.join(', ')}.
`;

interface TopOptions {
  readonly project?: string;
  readonly every: number;
  readonly count?: number;
  readonly sort: SortKey;
  readonly once?: boolean;
  readonly json?: boolean;
}

export function topCommand(stream: Command, client: () => Client): void {
  stream
    .command('top')
    .description('rates, backlog and connections of the streams, again and again')
    .option('--project <name>')
    .option('--every <seconds>', 'between two looks', positiveInteger, EVERY_SECONDS)
    .option('--count <number>', 'so many looks; default: until it is interrupted', positiveInteger)
    .addOption(new Option('--sort <key>', 'most first').choices(SORT_KEYS).default('age'))
    .option('--once', 'look twice, print the rates between, end')
    .option('--json', 'one JSON document a line')
    .addHelpText('after', EXAMPLES)
    .action(async (options: TopOptions) => {
      const stop = stopAsked();
      try {
        await look(client(), options, stop.signal);
      } catch (cause) {
        if (!stop.signal.aborted) throw cause;
      } finally {
        stop.forget();
      }
    });
}

/** By Ctrl-C or SIGTERM, each a good end. A reader of our output that has gone is the launcher's to see. */
function stopAsked() {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const forget = (): void => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  };
  return { signal: controller.signal, forget };
}

async function look(client: Client, options: TopOptions, signal: AbortSignal): Promise<void> {
  const { project, every, once, json, sort, count = once ? 2 : Number.POSITIVE_INFINITY } = options;
  const query = project === undefined ? {} : { project };
  let before: Look | undefined;
  for (let looks = 0; looks < count && !signal.aborted; looks++) {
    if (looks > 0) await pause(every * 1000, undefined, { signal });
    const { streams } = await client.call('stream.list', { query, signal });
    const now = { atMs: performance.now(), streams };
    const rates = sortRates(ratesBetween(before, now), sort);
    before = now;
    if (once && looks + 1 < count) continue;
    if (json === true) process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), streams: rates })}\n`);
    else process.stdout.write(`${process.stdout.isTTY ? CLEAR : ''}${page(rates)}`);
  }
}

const perSecond = (rate: number | undefined): string =>
  rate === undefined ? '-' : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
const volume = (rate: number | undefined): string => (rate === undefined ? '-' : `${bytes(Math.round(rate))}/s`);

function page(rates: readonly StreamRates[]): string {
  if (rates.length === 0) return 'no streams\n';
  const lines = table(
    ['id', 'name', 'state', 'in', '', 'out', '', 'buffered', '', 'fill', 'quota', 'prod', 'cons', 'dropped', 'refused'],
    rates.map((r) => [
      r.id,
      r.name,
      r.state,
      perSecond(r.messagesIn),
      volume(r.bytesIn),
      perSecond(r.messagesOut),
      volume(r.bytesOut),
      r.buffered,
      bytes(r.bufferedBytes),
      r.fill === undefined ? '-' : `${Math.round(r.fill * 100)} %`,
      r.quota === undefined ? '-' : `${Math.round(r.quota * 100)} %`,
      r.producers,
      r.consumers,
      r.dropped,
      r.refused,
    ]),
  );
  const warnings = rates.flatMap(warningsOf).map((w) => `warning: ${w}\n`);
  return `${lines}${warnings.join('')}`;
}
