/** `beamway policy explain`; `test` and `diff` are offline and live in src/. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { EXIT } from './context.ts';
import { printJson } from './print.ts';

interface ExplainOptions {
  readonly as: string;
  readonly action: string;
  readonly project?: string;
  readonly environment?: string;
  readonly tier?: string;
  readonly json?: boolean;
}

/** Gives the noun back, for the offline verbs to join it. */
export function policyCommands(program: Command, client: () => Client): Command {
  const policy = program.command('policy').description('what is allowed, by which rules');
  policy
    .command('explain')
    .description('would this token be allowed to do this there, and what would change it? exit 3 where it is refused')
    .requiredOption('--as <token id>', 'a token or session, by its id')
    .requiredOption('--action <action>', 'for example job:submit')
    .option('--project <name>', 'default: the token’s')
    .option('--environment <name>')
    .option('--tier <name>')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway policy explain --as tok_0123456789abcdefghjk --action job:submit --environment frontier\n',
    )
    .action(async (options: ExplainOptions) => {
      const { json, ...query } = options;
      const answer = await client().call('policy.explain', { query });
      if (json === true) printJson(answer);
      else {
        process.stdout.write(
          `${answer.allowed ? 'allowed' : 'refused'}${answer.tokenState === 'active' ? '' : `, but the token is ${answer.tokenState}`} (policy set ${answer.policyDigest.slice(0, 12)})\n`,
        );
        for (const { rule, detail } of answer.rules) process.stdout.write(`  ${rule}: ${detail}\n`);
      }
      if (!answer.allowed) process.exitCode = EXIT.refused;
    });
  return policy;
}
