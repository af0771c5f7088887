/** `beamway policy explain`, and the records that `policy replay` reads from a server; `test`, `diff` and `replay` themselves live in src/. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { EXIT } from './context.ts';
import { printJson } from './print.ts';

interface ExplainOptions {
  readonly as: string;
  readonly action: string;
  readonly resource?: string;
  readonly project?: string;
  readonly environment?: string;
  readonly tier?: string;
  readonly scopes?: string;
  readonly at?: string;
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
    .option('--resource <id>', 'of a job, stream, run or token, or the name of a project')
    .option('--project <name>', 'default: the resource’s, else the token’s')
    .option('--environment <name>', 'default: the resource’s')
    .option('--tier <name>')
    .option('--scopes <list>', 'for token:mint: what would be asked for, with commas')
    .option('--at <time>', 'ISO 8601; default: now. The token’s state is that of then, the policies are those of now')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway policy explain --as tok_0123456789abcdefghjk --action job:submit --environment frontier --at 2026-12-01T08:00:00Z\n',
    )
    .action(async ({ json, at, ...rest }: ExplainOptions) => {
      const query = at === undefined ? rest : { ...rest, at: isoTime(at) };
      const answer = await client().call('policy.explain', { query });
      if (json === true) printJson(answer);
      else process.stdout.write(explanationText(answer));
      if (!answer.allowed) process.exitCode = EXIT.refused;
    });
  return policy;
}

/** A date alone is taken too; what cannot be read is left for the server to refuse with its reasons. */
function isoTime(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? text : new Date(time).toISOString();
}

type Explanation = Awaited<ReturnType<typeof ask>>;
const ask = (client: Client) => client.call('policy.explain', { query: { as: '', action: '' } });

function explanationText(answer: Explanation): string {
  const about = Object.entries(answer.resource).map(([k, v]) => `${k} ${typeof v === 'string' ? v : v.join(' ')}`);
  const factor = answer.factorAgeMinutes === null ? [] : [`second factor ${answer.factorAgeMinutes} min old`];
  const facts = [`token ${answer.tokenState}`, ...factor, ...(answer.lockdown ? ['facility locked down'] : [])];
  const lines = [
    `${answer.allowed ? 'allowed' : 'refused'} at ${answer.at} (policy set ${answer.policyDigest.slice(0, 12)})`,
    `  about: ${about.join(', ') || 'nothing in particular'}`,
    `  then: ${facts.join(', ')}`,
    ...answer.rules.map(({ rule, detail }) => `  ${rule}: ${detail}`),
    ...answer.notes.map((note) => `  note: ${note}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** The server's audit records from `sinceSeconds` ago up to now, newest first. A project's token reads those of its project. */
export async function* recordsSince(client: Client, sinceSeconds: number): AsyncGenerator<unknown> {
  const from = Date.now() - sinceSeconds * 1000;
  let before: number | null = null;
  do {
    const page: Awaited<ReturnType<typeof pageBefore>> = await pageBefore(client, before);
    for (const record of page.records) {
      if (Date.parse(record.at) < from) return;
      yield record;
    }
    before = page.next;
  } while (before !== null);
}

const pageBefore = (client: Client, before: number | null) =>
  client.call('audit.list', { query: before === null ? { limit: 1000 } : { limit: 1000, before } });
