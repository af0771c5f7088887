/** `beamway key list|rotate`, and what is asked of tokens beside their life: `token hop|inspect|exchange`. A token's text is read from a file, never from argv. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError } from './context.ts';
import { duration, list } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';
import { withSecretFile } from './write-secret.ts';

const TYPE = 'urn:ietf:params:oauth:token-type:';

export function keyCommands(program: Command, client: () => Client): void {
  const key = program.command('key').description('the keys that sign hop tokens');
  key
    .command('list')
    .description('the signing keys and what each is for now')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway key list\n')
    .action(async ({ json }: { json?: boolean }) => printKeys(await client().call('key.list'), json));
  key
    .command('rotate')
    .description('publish the next key; it signs ten minutes later, when everybody has it')
    .option('--end-now', 'a key is known to somebody else: all others end now, with what they signed')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway key rotate\n')
    .action(async ({ endNow, json }: { endNow?: boolean; json?: boolean }) =>
      printKeys(await client().call('key.rotate', { body: { endNow: endNow === true } }), json),
    );
  const token = program.commands.find((c) => c.name() === 'token') ?? program.command('token');
  hopCommand(token, client);
  inspectCommand(token, client);
  exchangeCommand(token, client);
}

function printKeys(answer: Result<'key.list'>, json: boolean | undefined): void {
  if (json === true) {
    printJson(answer);
    return;
  }
  const rows = answer.keys.map((k) => [k.id, k.state, shortTime(k.signsFrom), shortTime(k.verifiesUntil)]);
  process.stdout.write(table(['id', 'state', 'signs from', 'verifies until'], rows));
}

function hopCommand(token: Command, client: () => Client): void {
  token
    .command('hop')
    .description('a JWT of at most five minutes that stands for the token in use at one service')
    .requiredOption('--audience <name>', 'one of the audiences of the facility')
    .option('--lifetime <duration>', 'at most 5m (default: 1m)', duration)
    .option('--scope <scope...>', 'of the token’s own (default: all)', list)
    .option('--out <file>', 'write the JWT to this file (mode 0600), not to stdout')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token hop --audience https://beamway.other.example --out hop.jwt\n')
    .action(
      async (options: { audience: string; lifetime?: number; scope?: string[]; out?: string; json?: boolean }) => {
        const { audience, lifetime, scope, out, json } = options;
        const body = {
          audience,
          ...(lifetime === undefined ? {} : { lifetimeSeconds: lifetime }),
          ...(scope === undefined ? {} : { scopes: scope }),
        };
        const made = await withSecretFile(out, async (put) => {
          const answer = await client().call('self.hop-token', { body });
          put(answer.value);
          return answer;
        });
        const { value, ...rest } = made;
        if (json === true) return printJson(out === undefined ? made : rest);
        if (out === undefined) process.stdout.write(`${value}\n`);
        process.stderr.write(`for ${audience}, expires ${shortTime(made.expiresAt)}\n`);
      },
    );
}

function inspectCommand(token: Command, client: () => Client): void {
  token
    .command('inspect')
    .description('whose is the token in this file, and is it active? For staff')
    .requiredOption('--file <file>', 'with the token or hop token; - reads stdin')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token inspect --file found.txt\n')
    .action(async ({ file, json }: { file: string; json?: boolean }) => {
      const answer = await client().call('token.introspect', { body: { token: textOf(file) } });
      if (json === true) return printJson(answer);
      const { active, token: row, hop } = answer;
      process.stdout.write(
        details([
          ['active', active ? 'yes' : 'no'],
          ['id', row?.id ?? null],
          ['kind', hop === null ? (row?.kind ?? null) : `hop token for ${hop.audience}`],
          ['state', row?.state ?? 'not one of ours'],
          ['subject', row?.subject ?? null],
          ['project', row?.project ?? null],
          ['scopes', (hop?.scopes ?? row?.scopes ?? []).join(' ')],
          ['expires', shortTime(hop?.expiresAt ?? row?.expiresAt ?? null)],
        ]),
      );
    });
}

function exchangeCommand(token: Command, client: () => Client): void {
  token
    .command('exchange')
    .description('a project access token for an identity of a trusted issuer (RFC 8693); its value is shown once')
    .requiredOption('--file <file>', 'with the JWT of the other issuer; - reads stdin')
    .option('--project <name>', 'where several are open to you')
    .option('--environment <name...>', 'default: all that are open to you', list)
    .option('--scope <scope...>', 'default: all that are open to you', list)
    .option('--lifetime <duration>', 'default: the longest', duration)
    .option('--out <file>', 'write the value to this file (mode 0600), not to stdout')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway token exchange --file hop.jwt --scope stream:connect --out here.token\n',
    )
    .action(
      async (options: {
        file: string;
        project?: string;
        environment?: string[];
        scope?: string[];
        lifetime?: number;
        out?: string;
        json?: boolean;
      }) => {
        const { file, project, environment, scope, lifetime, out, json } = options;
        const body = {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: textOf(file),
          subject_token_type: `${TYPE}jwt`,
          ...(project === undefined ? {} : { audience: project }),
          ...(environment === undefined ? {} : { resource: `urn:beamway:environment:${environment.join(',')}` }),
          ...(scope === undefined ? {} : { scope: scope.join(' ') }),
          ...(lifetime === undefined ? {} : { lifetime_seconds: lifetime }),
        };
        const issued = await withSecretFile(out, async (put) => {
          const answer = await client().call('oauth.token', { body });
          put(answer.access_token);
          return answer;
        });
        const { access_token: value, ...rest } = issued;
        if (json === true) return printJson(out === undefined ? issued : rest);
        if (out === undefined) process.stdout.write(`${value}\n`);
        process.stderr.write(
          `${issued.id} for ${issued.project} in ${issued.environments.join(', ')}, ${issued.expires_in} s\n`,
        );
      },
    );
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (cause) {
    throw new CommandError(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
