/** `beamway cluster list`, `partitions`, `nodes`, `reservations`, `diagnostics`: what a cluster's own tools say of it. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { clusterMeant } from './job-commands-history.ts';
import { details, printJson, shortTime, table } from './print.ts';

interface Options {
  readonly json?: boolean;
}

export function clusterCommands(program: Command, client: () => Client): void {
  const cluster = program.command('cluster').description('clusters');

  cluster
    .command('list')
    .description('clusters and their nodes now')
    .option('--json', 'print one JSON document')
    .action(async (options: Options) => {
      const { clusters } = await client().call('cluster.list');
      if (options.json === true) return printJson({ clusters });
      process.stdout.write(
        table(
          ['cluster', 'node', 'slots', 'free', 'state'],
          clusters.flatMap((c) =>
            c.nodes.length === 0
              ? [[c.name, '-', '-', '-', c.linked ? c.reason : 'its agent is not linked']]
              : c.nodes.map((n) => [c.name, n.name, n.slots, n.free, n.state]),
          ),
        ),
      );
    });

  const about = (verb: string, says: string, act: (id: string, options: Options) => Promise<void>): void => {
    cluster
      .command(verb)
      .argument('[cluster]', 'default: the only one with tools of its own')
      .description(says)
      .option('--json', 'print one JSON document')
      .action(async (named: string | undefined, options: Options) => act(await clusterMeant(client(), named), options));
  };

  about('partitions', 'partitions and their limits', async (id, { json }) => {
    const said = await client().call('cluster.partitions', { params: { id } });
    if (json === true) return printJson(said);
    const rows = said.partitions.map((p) => [
      ...[p.default ? `${p.name}*` : p.name, p.state, p.nodes, p.slots],
      ...[seconds(p.maxTimeSeconds), seconds(p.defaultTimeSeconds)],
    ]);
    process.stdout.write(table(['partition', 'state', 'nodes', 'slots', 'longest', 'default'], rows));
  });

  about('nodes', 'nodes, as far as the scheduler tells', async (id, { json }) => {
    const said = await client().call('cluster.nodes', { params: { id } });
    if (json === true) return printJson(said);
    const rows = said.nodes.map((n) => [
      ...[n.name, n.slots, n.free, n.memoryMiB, n.gres, n.partitions.join(','), n.nativeState ?? n.state, n.reason],
    ]);
    process.stdout.write(table(['node', 'slots', 'free', 'MiB', 'gres', 'partitions', 'state', 'reason'], rows));
  });

  about('reservations', 'reservations: when, where, what for', async (id, { json }) => {
    const said = await client().call('cluster.reservations', { params: { id } });
    if (json === true) return printJson(said);
    const rows = said.reservations.map((r) => [
      ...[r.name, shortTime(r.start), shortTime(r.end), r.nodeCount, r.partition, r.flags.join(',')],
    ]);
    process.stdout.write(table(['reservation', 'from', 'to', 'nodes', 'partition', 'flags'], rows));
  });

  about('diagnostics', "health of the cluster's scheduler", async (id, { json }) => {
    const said = await client().call('cluster.diagnostics', { params: { id } });
    if (json === true) return printJson(said);
    process.stdout.write(
      details([
        ['controller', said.controller],
        ['database', said.database],
        ['Slurm', `${said.slurmVersion}${said.apiVersion === null ? '' : `, slurmrestd ${said.apiVersion}`}`],
        ['jobs', `${said.jobsRunning} running, ${said.jobsPending} waiting`],
        ['RPCs served', said.rpcsServed],
        ['backfill depth', said.backfillDepth],
        ['last cycle', `${said.lastCycleMicroseconds} µs`],
        ['agent queue', said.agentQueue],
      ]),
    );
  });
}

function seconds(count: number | null): string {
  return count === null ? '-' : `${count} s`;
}
