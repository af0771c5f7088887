/** `beamway stream set|pause|resume|release`: what is done to a stream while it runs, and how it ends without loss. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { CommandError } from './context.ts';
import { duration, parameters } from './parse-arguments.ts';
import { printJson } from './print.ts';

const LOOK_SECONDS = 20;
const WITHIN_SECONDS = 600;

interface ReleaseOptions {
  readonly drain?: boolean;
  readonly within?: number;
  readonly wait: boolean;
  readonly json?: boolean;
}

export function controlCommands(stream: Command, client: () => Client): void {
  stream
    .command('set')
    .argument('<id>')
    .description('change parameters of a stream while it lives, within its template')
    .requiredOption('--parameter <KEY=VALUE>', 'may be repeated; see: beamway template list --json', parameters)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway stream set str_… --parameter bufferBytes=536870912 --parameter bytesPerSecond=1000000\n\n' +
        'bufferBytes, bytesPerSecond, messagesPerSecond, byteQuota, messageQuota, externalAddresses; nothing in it is lost.\n',
    )
    .action(async (id: string, options: { parameter: Record<string, unknown>; json?: boolean }) => {
      const changed = await client().call('stream.set', { params: { id }, body: { parameters: options.parameter } });
      if (options.json === true) return printJson(changed);
      for (const name of Object.keys(options.parameter))
        process.stdout.write(`${changed.id} ${name}=${JSON.stringify(changed.parameters[name])}\n`);
    });

  for (const [verb, what] of [
    ['pause', 'its producers are not read and wait; consumers go on'],
    ['resume', 'its producers are read again'],
  ] as const)
    stream
      .command(verb)
      .argument('<id>')
      .description(what)
      .option('--json', 'print one JSON document')
      .addHelpText('after', `\nExample:\n  beamway stream ${verb} str_…\n`)
      .action(async (id: string, options: { json?: boolean }) => {
        const changed = await client().call(`stream.${verb}`, { params: { id } });
        if (options.json === true) return printJson(changed);
        process.stdout.write(`${changed.id} ${changed.state}\n`);
      });

  stream
    .command('release')
    .argument('<id>')
    .description('end a stream; with --drain once consumers have what is in it')
    .option('--drain', 'producers are cut and refused, consumers go on until nothing is left')
    .option('--within <duration>', 'with --drain: for so long at most; default 10m', duration)
    .option('--no-wait', 'do not wait until it is released')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway stream release str_… --drain --within 30m\n')
    .action(async (id: string, options: ReleaseOptions) => {
      if (options.within !== undefined && options.drain !== true)
        throw new CommandError('--within is for --drain: without it a stream is released at once.');
      let shown =
        options.drain === true
          ? await client().call('stream.drain', {
              params: { id },
              body: { withinSeconds: options.within ?? WITHIN_SECONDS },
            })
          : await client().call('stream.delete', { params: { id } });
      while (options.wait && shown.state !== 'released') {
        const before = shown;
        shown = await client().call('stream.show', { params: { id }, query: { waitSeconds: LOOK_SECONDS } });
        // A node that is away lets go of it when it is back; a failed one is not waited for.
        if (before.state === shown.state && !['draining', 'releasing'].includes(shown.state)) break;
        if (options.json !== true && shown.state === 'draining')
          process.stderr.write(`${shown.id} draining: ${shown.reason}\n`);
      }
      if (options.json === true) return printJson(shown);
      process.stdout.write(`${shown.id} ${shown.state}${shown.reason === '' ? '' : `: ${shown.reason}`}\n`);
    });
}
