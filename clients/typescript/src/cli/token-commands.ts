/** `beamway token …`: mint, list, show, revoke project access tokens. */
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError } from './context.ts';
import { duration, list } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

interface DelegateOptions {
  readonly scope: string[];
  readonly lifetime: number;
  readonly environment?: string[];
  readonly description?: string;
  readonly json?: boolean;
}

interface MintOptions {
  readonly project: string;
  readonly environment: string[];
  readonly scope: string[];
  readonly lifetime: number;
  readonly description?: string;
  readonly subject?: string;
  readonly json?: boolean;
}

export function tokenCommands(program: Command, client: () => Client): void {
  const token = program
    .command('token')
    .description('project access tokens: one project, one enclave, a set of scopes');

  token
    .command('mint')
    .description('mint a token; its value is printed once and never again')
    .requiredOption('--project <name>', 'project the token is for')
    .requiredOption('--environment <name...>', 'environments it covers, all of one enclave')
    .requiredOption('--scope <scope...>', 'what it may do; see docs/reference/scopes.md', list)
    .requiredOption('--lifetime <duration>', 'for example 90s, 30m, 24h, 7d', duration)
    .option('--description <text>', 'what it is for')
    .option('--subject <name>', 'who answers for it')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway token mint --project demo --environment ace --scope job:submit job:read stream:create --lifetime 24h\n',
    )
    .action(async (options: MintOptions) => {
      const minted = await client().call('token.mint', {
        body: {
          project: options.project,
          environments: options.environment,
          scopes: options.scope,
          lifetimeSeconds: options.lifetime,
          ...(options.description === undefined ? {} : { description: options.description }),
          ...(options.subject === undefined ? {} : { subject: options.subject }),
        },
      });
      if (options.json === true) return printJson(minted);
      process.stdout.write(`${minted.value}\n`);
      process.stderr.write(
        `${minted.id} for ${minted.project ?? ''} in ${minted.environments.join(', ')}, expires ${shortTime(minted.expiresAt)}. The value above is shown once.\n`,
      );
    });

  token
    .command('delegate')
    .description('mint a child of the token in use, never wider than it; its value is printed once')
    .requiredOption('--scope <scope...>', 'of the parent’s', list)
    .requiredOption('--lifetime <duration>', 'not longer than the parent’s rest', duration)
    .option('--environment <name...>', 'default: the parent’s')
    .option('--description <text>', 'what it is for')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  beamway token delegate --scope stream:connect stream:read --lifetime 2h --description detector\n',
    )
    .action(async (options: DelegateOptions) => {
      const minted = await client().call('self.delegate', {
        body: {
          scopes: options.scope,
          lifetimeSeconds: options.lifetime,
          ...(options.environment === undefined ? {} : { environments: options.environment }),
          ...(options.description === undefined ? {} : { description: options.description }),
        },
      });
      if (options.json === true) return printJson(minted);
      process.stdout.write(`${minted.value}\n`);
      process.stderr.write(
        `${minted.id}, a child of ${minted.parent ?? ''}, expires ${shortTime(minted.expiresAt)}. The value above is shown once.\n`,
      );
    });

  token
    .command('tree')
    .argument('[id]', 'default: the token in use')
    .description('a token and everything delegated from it')
    .option('--json', 'print one JSON document')
    .action(async (id: string | undefined, options: { json?: boolean }) => {
      const tree =
        id === undefined ? await client().call('self.tree') : await client().call('token.tree', { params: { id } });
      if (options.json === true) return printJson(tree);
      process.stdout.write(treeText(tree.tokens));
    });

  token
    .command('list')
    .description('list bearers, without their values')
    .option('--project <name>')
    .option('--json', 'print one JSON document')
    .action(async (options: { project?: string; json?: boolean }) => {
      const { tokens, next } = await client().call('token.list', {
        query: options.project === undefined ? {} : { project: options.project },
      });
      if (options.json === true) return printJson({ tokens, next });
      process.stdout.write(
        table(
          ['id', 'kind', 'project', 'environments', 'state', 'expires', 'description'],
          tokens.map((t) => [
            t.id,
            t.kind,
            t.project,
            t.environments.join(','),
            t.state,
            shortTime(t.expiresAt),
            t.description,
          ]),
        ),
      );
    });

  token
    .command('show')
    .argument('[id]', 'default: the token in use')
    .description('show a bearer, without its value')
    .option('--json', 'print one JSON document')
    .action(async (id: string | undefined, options: { json?: boolean }) => {
      const shown =
        id === undefined ? await client().call('self.show') : await client().call('token.show', { params: { id } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        details([
          ['id', shown.id],
          ['kind', shown.kind],
          ['state', shown.state],
          ['subject', shown.subject],
          ['project', shown.project],
          ['enclave', shown.enclave],
          ['environments', shown.environments.join(', ')],
          ['scopes', shown.scopes.join(' ')],
          ['roles', shown.roles.join(' ')],
          ['expires', shortTime(shown.expiresAt)],
          ['description', shown.description],
        ]),
      );
    });

  token
    .command('revoke')
    .argument('[id]')
    .description('revoke a bearer for good; stream connections it opened are cut')
    .option('--self', 'revoke the token in use')
    .option('--json', 'print one JSON document')
    .action(async (id: string | undefined, options: { self?: boolean; json?: boolean }) => {
      if ((id === undefined) === (options.self !== true))
        throw new CommandError('Name a token, or say --self, not both.');
      const revoked =
        id === undefined ? await client().call('self.revoke') : await client().call('token.revoke', { params: { id } });
      if (options.json === true) return printJson(revoked);
      process.stdout.write(`${revoked.id} is revoked\n`);
    });
}

type TokenView = Result<'self.tree'>['tokens'][number];

/** Each token below its parent, indented. */
function treeText(tokens: readonly TokenView[]): string {
  const root = tokens[0];
  if (root === undefined) return '';
  const line = (t: TokenView): string =>
    `${'  '.repeat(t.depth - root.depth)}${t.id} ${t.state}, expires ${shortTime(t.expiresAt)}: ${t.scopes.join(' ')}${t.description === '' ? '' : ` (${t.description})`}\n`;
  const below = (t: TokenView): string =>
    line(t) +
    tokens
      .filter((c) => c.parent === t.id)
      .map(below)
      .join('');
  return below(root);
}
