/** `beamway lockdown set|lift|show`: for the day when something is wrong and nobody knows yet what. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { printJson, shortTime } from './print.ts';

type Answer = Awaited<ReturnType<typeof ask>>;

const ask = (client: Client) => client.call('lockdown.show');

export function lockdownCommands(program: Command, client: () => Client): void {
  const lockdown = program.command('lockdown').description('nobody mints, every path from outside is shut; reversible');
  lockdown
    .command('set')
    .description('lock the facility down; jobs and their streams inside go on')
    .requiredOption('--reason <text>', 'for the audit log, and for whoever is refused')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway lockdown set --reason "token seen on a public page, incident 42"\n')
    .action(async ({ reason, json }: { reason: string; json?: boolean }) => {
      say(await client().call('lockdown.set', { body: { reason } }), json);
    });
  lockdown
    .command('lift')
    .description('open the facility again')
    .requiredOption('--reason <text>')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway lockdown lift --reason "incident 42 closed"\n')
    .action(async ({ reason, json }: { reason: string; json?: boolean }) => {
      say(await client().call('lockdown.lift', { query: { reason } }), json);
    });
  lockdown
    .command('show')
    .description('is the facility locked down, since when, why, and which nodes have not applied it')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway lockdown show\n')
    .action(async ({ json }: { json?: boolean }) => say(await ask(client()), json));
}

function say(answer: Answer, json: boolean | undefined): void {
  if (json === true) {
    printJson(answer);
    return;
  }
  process.stdout.write(
    answer.inForce
      ? `locked down since ${shortTime(answer.since)}: ${answer.reason}\n`
      : `open${answer.liftedAt === null ? '' : ` (last lockdown lifted ${shortTime(answer.liftedAt)})`}\n`,
  );
  if (answer.pendingNodes.length > 0)
    process.stdout.write(
      `not applied yet on: ${answer.pendingNodes.join(', ')} (a linked one does within a second: see beamway lockdown show; one that is not ends its streams after their offline lifetime)\n`,
    );
}
