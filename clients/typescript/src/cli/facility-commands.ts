/** `beamway dsn list`, `beamway facility show`, `beamway facility metrics`. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { bytes, printJson, shortTime, table } from './print.ts';

export function facilityCommands(program: Command, client: () => Client): void {
  const facility = program.command('facility').description('what exists here');
  facility
    .command('show')
    .description('environments and tiers')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const shown = await client().call('facility.show');
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        `${shown.title}\n\n${table(
          ['environment', 'stage', 'enclave', 'cluster', 'tiers'],
          shown.environments.map((e) => [e.name, e.stage, e.enclave, e.cluster, e.tiers.join(', ')]),
        )}\n${table(
          ['tier', 'priority', 'preempts', 'mode', 'title'],
          shown.tiers.map((t) => [t.name, t.priority, t.preempts.join(', '), t.preemptMode, t.title]),
        )}`,
      );
    });

  facility
    .command('metrics')
    .description('streams, nodes and requests, as a Prometheus server scrapes them; needs the scope metrics:read')
    .option('--json', 'print one JSON document')
    .addHelpText('after', "\nExample:\n  beamway facility metrics | grep '^beamway_node_up'\n")
    .action(async (options: { json?: boolean }) => {
      const metrics = await client().call('metrics.show');
      if (options.json === true) return printJson({ metrics });
      process.stdout.write(metrics);
    });

  program
    .command('dsn')
    .description('data streaming nodes')
    .command('list')
    .description('linked or not, and how full')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { nodes } = await client().call('node.list');
      if (options.json === true) return printJson({ nodes });
      process.stdout.write(
        table(
          ['node', 'linked', 'last seen', 'engines', 'streams', 'buffers'],
          nodes.map((n) => [
            ...[n.name, n.linked ? 'yes' : 'no', shortTime(n.lastSeenAt), n.engines?.join(' ') ?? '?'],
            ...[n.streams, bytes(n.bufferBytes)],
          ]),
        ),
      );
    });
}
