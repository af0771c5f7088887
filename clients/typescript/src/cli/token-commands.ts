/** `beamway token …`: mint, delegate, renew, rotate, revoke, tree, list, show. A value goes to stdout or to a 0600 file, and never comes from argv. */
import type { Command } from 'commander';
import type { Client, Result } from '../client.ts';
import { CommandError } from './context.ts';
import { duration, list, positiveInteger } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';
import { withSecretFile } from './write-secret.ts';

interface WishOptions {
  readonly description?: string;
  readonly purpose?: string;
  readonly classification?: 'public' | 'proprietary' | 'controlled';
  readonly source?: string[];
  readonly maxUses?: number;
  readonly oneTime?: boolean;
  readonly start?: string;
  readonly renewable?: number;
  readonly out?: string;
  readonly json?: boolean;
}

interface DelegateOptions extends WishOptions {
  readonly scope: string[];
  readonly lifetime: number;
  readonly environment?: string[];
}

interface MintOptions extends WishOptions {
  readonly project: string;
  readonly environment: string[];
  readonly scope: string[];
  readonly lifetime: number;
  readonly subject?: string;
}

type TokenView = Result<'self.tree'>['tokens'][number];
type Issued = Result<'token.mint'>;
type Revoked = Result<'token.revoke'>;

export function tokenCommands(program: Command, client: () => Client): void {
  const token = program
    .command('token')
    .description('project access tokens: one project, one enclave, a set of scopes');
  mintCommand(token, client);
  delegateCommand(token, client);
  changeCommands(token, client);
  showCommands(token, client);
}

/** What may be said of a minted token and of a child. */
function wishOptions(command: Command, of: { readonly inherits: boolean }): Command {
  const plain = (text: string): string => (of.inherits ? 'the parent’s' : text);
  return command
    .option('--description <text>', 'what it is for, in words')
    .option(
      '--purpose <name>',
      `a purpose of the facility; use outside it is recorded, in some environments refused (default: ${plain('none')})`,
    )
    .option('--classification <level>', `public, proprietary or controlled data (default: ${plain('public')})`)
    .option('--source <cidr...>', `address ranges it may be used from (default: ${plain('anywhere')})`, list)
    .option('--max-uses <count>', 'requests it may authorize in its life', positiveInteger)
    .option('--one-time', 'the same as --max-uses 1')
    .option('--start <time>', 'deferred start, ISO 8601 in UTC, for example 2027-01-15T08:00:00Z')
    .option('--renewable <duration>', 'it may renew itself for so long, without a person', duration)
    .option('--out <file>', 'write the value to this file (mode 0600), not to stdout')
    .option('--json', 'print one JSON document');
}

function wishes(options: WishOptions) {
  if (options.oneTime === true && options.maxUses !== undefined)
    throw new CommandError('Say --one-time or --max-uses, not both.');
  const maxUses = options.oneTime === true ? 1 : options.maxUses;
  return {
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.purpose === undefined ? {} : { purpose: options.purpose }),
    ...(options.classification === undefined ? {} : { classification: options.classification }),
    ...(options.source === undefined ? {} : { sources: options.source }),
    ...(maxUses === undefined ? {} : { maxUses }),
    ...(options.start === undefined ? {} : { notBefore: options.start }),
    ...(options.renewable === undefined ? {} : { renewableDays: options.renewable / 86_400 }),
  };
}

/** The value to stdout, or to the file; what a person wants to know to stderr. */
async function printIssued(
  options: { readonly out?: string; readonly json?: boolean },
  issue: () => Promise<Issued>,
  said: (issued: Issued) => string,
): Promise<void> {
  const issued = await withSecretFile(options.out, async (put) => {
    const made = await issue();
    put(made.value);
    return made;
  });
  const { value, ...rest } = issued;
  if (options.json === true) return printJson(options.out === undefined ? issued : rest);
  if (options.out === undefined) process.stdout.write(`${value}\n`);
  const where = options.out === undefined ? 'The value above is shown once.' : `The value is in ${options.out}.`;
  process.stderr.write(`${issued.id} ${said(issued)}, expires ${shortTime(issued.expiresAt)}. ${where}\n`);
}

function mintCommand(token: Command, client: () => Client): void {
  const command = token
    .command('mint')
    .description('mint a token; its value is shown once and never again')
    .requiredOption('--project <name>', 'project the token is for')
    .requiredOption('--environment <name...>', 'environments it covers, all of one enclave')
    .requiredOption('--scope <scope...>', 'what it may do; see docs/reference/scopes.md', list)
    .requiredOption('--lifetime <duration>', 'for example 90s, 30m, 24h, 7d', duration)
    .option('--subject <name>', 'who answers for it');
  wishOptions(command, { inherits: false })
    .addHelpText(
      'after',
      '\nExample:\n  beamway token mint --project demo --environment ace --scope job:submit job:read stream:create --lifetime 24h\n',
    )
    .action(async (options: MintOptions) => {
      const body = {
        project: options.project,
        environments: options.environment,
        scopes: options.scope,
        lifetimeSeconds: options.lifetime,
        ...(options.subject === undefined ? {} : { subject: options.subject }),
        ...wishes(options),
      };
      await printIssued(
        options,
        () => client().call('token.mint', { body }),
        (minted) => `for ${minted.project ?? ''} in ${minted.environments.join(', ')}`,
      );
    });
}

function delegateCommand(token: Command, client: () => Client): void {
  const command = token
    .command('delegate')
    .description('mint a child of the token in use, never wider than it; its value is shown once')
    .requiredOption('--scope <scope...>', 'of the parent’s', list)
    .requiredOption('--lifetime <duration>', 'not longer than the parent’s rest', duration)
    .option('--environment <name...>', 'default: the parent’s');
  wishOptions(command, { inherits: true })
    .addHelpText(
      'after',
      '\nExample:\n  beamway token delegate --scope stream:connect stream:read --lifetime 2h --description detector --out detector.token\n',
    )
    .action(async (options: DelegateOptions) => {
      const body = {
        scopes: options.scope,
        lifetimeSeconds: options.lifetime,
        ...(options.environment === undefined ? {} : { environments: options.environment }),
        ...wishes(options),
      };
      await printIssued(
        options,
        () => client().call('self.delegate', { body }),
        (child) => `is a child of ${child.parent ?? ''}`,
      );
    });
}

function changeCommands(token: Command, client: () => Client): void {
  token
    .command('renew')
    .description('give the token in use a later end, within its renewal; its value stays')
    .option('--lifetime <duration>', 'from now; default: what it was last asked for', duration)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token renew --lifetime 12h\n')
    .action(async (options: { lifetime?: number; json?: boolean }) => {
      const body = options.lifetime === undefined ? {} : { lifetimeSeconds: options.lifetime };
      const renewed = await client().call('self.renew', { body });
      if (options.json === true) return printJson(renewed);
      process.stdout.write(
        `${renewed.id} expires ${shortTime(renewed.expiresAt)}, renewable until ${shortTime(renewed.renewableUntil)}\n`,
      );
    });

  token
    .command('rotate')
    .description('give the token in use a new value, shown once; the old one holds for the overlap')
    .option('--overlap <duration>', 'the old value holds for so long, at most 1d (default: 5m)', duration)
    .option('--end-now', 'the old value ends at once')
    .option('--out <file>', 'write the value to this file (mode 0600), not to stdout')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token rotate --overlap 10m --out service.token.new\n')
    .action(async (options: { overlap?: number; endNow?: boolean; out?: string; json?: boolean }) => {
      if (options.endNow === true && options.overlap !== undefined)
        throw new CommandError('Say --overlap or --end-now, not both.');
      const overlapSeconds = options.endNow === true ? 0 : options.overlap;
      const body = overlapSeconds === undefined ? {} : { overlapSeconds };
      await printIssued(
        options,
        () => client().call('self.rotate', { body }),
        (rotated) => `replaces ${rotated.replaces ?? ''}`,
      );
    });

  token
    .command('revoke')
    .argument('[id]')
    .description('revoke a bearer and all that came from it for good; stream connections they opened are cut')
    .option('--self', 'revoke the token in use')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token revoke --self\n')
    .action(async (id: string | undefined, options: { self?: boolean; json?: boolean }) => {
      if ((id === undefined) === (options.self !== true))
        throw new CommandError('Name a token, or say --self, not both.');
      const revoked =
        id === undefined ? await client().call('self.revoke') : await client().call('token.revoke', { params: { id } });
      if (options.json === true) return printJson(revoked);
      process.stdout.write(revokedText(revoked));
    });
}

function revokedText({ id, pending }: Revoked): string {
  const lines = pending.map(
    (p) => `  not linked: node ${p.node}; stream ${p.stream} is cut at ${shortTime(p.until)} at the latest\n`,
  );
  return `${id} is revoked\n${lines.join('')}`;
}

function showCommands(token: Command, client: () => Client): void {
  token
    .command('tree')
    .argument('[id]', 'default: the token in use')
    .description('a token and everything that came from it: what revoking it takes')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token tree\n')
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
    .addHelpText('after', '\nExample:\n  beamway token list --project demo\n')
    .action(async (options: { project?: string; json?: boolean }) => {
      const { tokens, next } = await client().call('token.list', {
        query: options.project === undefined ? {} : { project: options.project },
      });
      if (options.json === true) return printJson({ tokens, next });
      const header = ['id', 'kind', 'project', 'environments', 'state', 'expires', 'description'];
      const rows = tokens.map((t) => [
        t.id,
        t.kind,
        t.project,
        t.environments.join(','),
        t.state,
        shortTime(t.expiresAt),
        t.description,
      ]);
      process.stdout.write(table(header, rows));
    });

  token
    .command('show')
    .argument('[id]', 'default: the token in use')
    .description('show a bearer, without its value')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway token show\n')
    .action(async (id: string | undefined, options: { json?: boolean }) => {
      const shown =
        id === undefined ? await client().call('self.show') : await client().call('token.show', { params: { id } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(details(shownLines(shown)));
    });
}

function shownLines(shown: TokenView): (readonly [string, string | null])[] {
  const flag = shown.outsidePurpose;
  return [
    ['id', shown.id],
    ['kind', shown.kind],
    ['state', shown.state],
    ['subject', shown.subject],
    ['project', shown.project],
    ['enclave', shown.enclave],
    ['environments', shown.environments.join(', ')],
    ['scopes', shown.scopes.join(' ')],
    ['roles', shown.roles.join(' ')],
    ['purpose', shown.purpose],
    ['classification', shown.classification],
    ['sources', shown.sources.join(', ') || 'anywhere'],
    ['uses', usesText(shown)],
    ['starts', shortTime(shown.notBefore)],
    ['expires', shortTime(shown.expiresAt)],
    ['renewable until', shortTime(shown.renewableUntil)],
    ['parent', shown.parent],
    ['replaces', shown.replaces],
    ['description', shown.description],
    ...(flag === null
      ? []
      : [['outside purpose', `${flag.times} times, last ${flag.action} at ${shortTime(flag.at)}`] as const]),
  ];
}

function usesText(shown: TokenView): string {
  if (shown.maxUses === null) return 'no bound';
  const given = shown.reservedUses === 0 ? '' : `, ${shown.reservedUses} given on`;
  return `${shown.uses} of ${shown.maxUses}${given}`;
}

/** Each token below its parent, indented; beside it the values that it replaced. */
function treeText(tokens: readonly TokenView[]): string {
  const ids = new Set(tokens.map((t) => t.id));
  const line = (t: TokenView, level: number): string => {
    const replaces = t.replaces === null ? '' : `, replaces ${t.replaces}`;
    const words = t.description === '' ? '' : ` (${t.description})`;
    return `${'  '.repeat(level)}${t.id} ${t.state}, expires ${shortTime(t.expiresAt)}${replaces}: ${t.scopes.join(' ')}${words}\n`;
  };
  const below = (t: TokenView, level: number): string =>
    line(t, level) +
    tokens
      .filter((c) => c.parent === t.id)
      .map((c) => below(c, level + 1))
      .join('');
  return tokens
    .filter((t) => t.parent === null || !ids.has(t.parent))
    .map((t) => below(t, 0))
    .join('');
}
