/** `beamway factor …`: a person's second factors, and staff's reset of another's. They are set up and shown in a browser. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { EXIT } from './context.ts';
import { printJson, shortTime, table } from './print.ts';

const METHODS = { totp: 'authenticator app', webauthn: 'passkey', 'recovery-code': 'recovery codes' } as const;

export function factorCommands(program: Command, client: () => Client): void {
  const factor = program
    .command('factor')
    .description('your second factors; they are set up at /beamway/factors in a browser');

  factor
    .command('list')
    .description('your factors, and when one was last shown in this session')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway factor list\n')
    .action(async ({ json }: { json?: boolean }) => {
      const answer = await client().call('factor.list');
      if (json === true) return printJson(answer);
      const { factors, shownAt } = answer;
      if (factors.length > 0)
        process.stdout.write(
          table(
            ['id', 'kind', 'since', 'last used', 'name'],
            factors.map((f) => [
              f.id,
              METHODS[f.method],
              shortTime(f.createdAt),
              shortTime(f.lastUsedAt),
              f.codesLeft === null ? f.name : `${f.codesLeft} left`,
            ]),
          ),
        );
      process.stderr.write(
        factors.length === 0
          ? 'no second factor: set one up at /beamway/factors, just after signing in\n'
          : shownAt === null
            ? 'none was shown in this session: beamway login --step-up\n'
            : `last shown in this session ${shortTime(shownAt)}\n`,
      );
    });

  factor
    .command('remove')
    .argument('<id>')
    .description('remove a factor of yours; one must have been shown in the last five minutes')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway login --step-up && beamway factor remove fac_4t0b1v9qk2m7x3c8d5e6\n')
    .action(async (id: string, { json }: { json?: boolean }) => {
      const answer = await client().call('factor.remove', { params: { id } });
      if (json === true) return printJson(answer);
      for (const gone of answer.removed) process.stdout.write(`${gone.id} (${gone.name}) is removed\n`);
    });

  factor
    .command('reset')
    .argument('<person>', 'as in their sign-in')
    .description('staff: take all factors of a person who has lost them')
    .requiredOption('--reason <text>', 'how you made sure who asks; kept in the audit log')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway factor reset mona --reason "phone lost, badge seen at the desk, ticket 812"\n',
    )
    .action(async (subject: string, { reason, json }: { reason: string; json?: boolean }) => {
      const answer = await client().call('factor.reset', { body: { subject, reason } });
      if (answer.removed.length === 0) process.exitCode = EXIT.notFound;
      if (json === true) return printJson(answer);
      process.stdout.write(
        answer.removed.length === 0
          ? `nobody of the name ${subject} has a second factor: is it spelt as in \`beamway person list\`?\n`
          : `${answer.removed.length} removed; ${subject} signs in again and sets one up within ten minutes\n`,
      );
    });
}
