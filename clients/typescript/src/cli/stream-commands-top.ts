/** `beamway stream top`: streams with their rates, looked at again and again, until it is interrupted. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { positiveInteger } from './parse-arguments.ts';
import { bytes, table } from './print.ts';
import { type Look, ratesBetween, type StreamRates } from './stream-rates.ts';

const CLEAR = '\u001b[H\u001b[2J';
/** Nodes report once a second: oftener shows nothing new. */
const EVERY_SECONDS = 2;

const EXAMPLES = `
Examples:
  beamway stream top                            until Ctrl-C
  beamway stream top --json --count 5 | jq -c '.streams[] | {name, bytesIn}'

Rates are means between two looks; buffered, producers and consumers are of now; dropped and refused since the stream was made.
`;

interface TopOptions {
  readonly project?: string;
  readonly every: number;
  readonly count?: number;
  readonly json?: boolean;
}

export function topCommand(stream: Command, client: () => Client): void {
  stream
    .command('top')
    .description('rates, backlog and connections of the streams, again and again')
    .option('--project <name>')
    .option('--every <seconds>', 'between two looks', positiveInteger, EVERY_SECONDS)
    .option('--count <number>', 'so many looks; default: until it is interrupted', positiveInteger)
    .option('--json', 'one JSON document a line')
    .addHelpText('after', EXAMPLES)
    .action(async ({ project, every, count = Number.POSITIVE_INFINITY, json }: TopOptions) => {
      const query = project === undefined ? {} : { project };
      let before: Look | undefined;
      for (let looks = 0; looks < count; looks++) {
        if (looks > 0) await new Promise((resolve) => setTimeout(resolve, every * 1000));
        const { streams } = await client().call('stream.list', { query });
        const now = { atMs: performance.now(), streams };
        const rates = ratesBetween(before, now);
        before = now;
        if (json === true)
          process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), streams: rates })}\n`);
        else process.stdout.write(`${process.stdout.isTTY ? CLEAR : ''}${page(rates)}`);
      }
    });
}

const perSecond = (rate: number | undefined): string =>
  rate === undefined ? '-' : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
const volume = (rate: number | undefined): string => (rate === undefined ? '-' : `${bytes(Math.round(rate))}/s`);

function page(rates: readonly StreamRates[]): string {
  if (rates.length === 0) return 'no streams\n';
  return table(
    ['id', 'name', 'state', 'in', '', 'out', '', 'buffered', '', 'prod', 'cons', 'dropped', 'refused'],
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
      r.producers,
      r.consumers,
      r.dropped,
      r.refused,
    ]),
  );
}
