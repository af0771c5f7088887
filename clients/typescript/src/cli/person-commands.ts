/** `beamway import`, `beamway person list|show`, `beamway notice list|send`: who is here, where that comes from, what ends soon. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { positiveInteger } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

type Imported = Awaited<ReturnType<typeof send>>;
type PersonView = Awaited<ReturnType<typeof one>>;

interface ImportOptions {
  readonly source?: string;
  readonly status?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly people?: string;
  readonly projects?: string;
  readonly memberships?: string;
  readonly allocations?: string;
}

interface Wish {
  readonly source: string;
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly csv?: Readonly<Record<string, string>>;
}

const send = (client: Client, body: Wish) => client.call('person.import', { body });
const one = (client: Client, id: string) => client.call('person.show', { params: { id } });
const CSV_FILES = ['people', 'projects', 'memberships', 'allocations'] as const;

export function personCommands(program: Command, client: () => Client): void {
  importCommand(program, client);
  const person = program.command('person').description('imported people');
  person
    .command('list')
    .description('people, of one project for its members, of all for staff')
    .option('--project <name>')
    .option('--limit <count>', 'at most so many', positiveInteger)
    .option('--after <subject>', 'from behind this one on')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway person list --project demo\n')
    .action(async (options: { project?: string; limit?: number; after?: string; json?: boolean }) => {
      const { json, ...query } = options;
      const answer = await client().call('person.list', { query });
      if (json === true) return printJson(answer);
      process.stdout.write(
        table(
          ['subject', 'name', 'state', 'roles', 'projects', 'sources'],
          answer.persons.map((p) => [
            p.subject,
            p.name,
            p.state,
            p.roles.join(','),
            projectsText(p),
            p.sources.join(','),
          ]),
        ),
      );
    });
  person
    .command('show')
    .argument('<subject>')
    .description('one person: oneself, or anybody for staff')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway person show ada\n')
    .action(async (subject: string, options: { json?: boolean }) => {
      const shown = await one(client(), subject);
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        details([
          ['subject', shown.subject],
          ['name', shown.name],
          ['mail', shown.mail],
          ['state', shown.state],
          ['roles', shown.roles.join(' ')],
          ['sources', shown.sources.join(', ')],
          ...shown.memberships.map(
            (m) =>
              [
                'project',
                `${m.project} as ${m.role}${m.until === null ? '' : ` until ${shortTime(m.until)}`}, from ${m.source}`,
              ] as const,
          ),
        ]),
      );
    });
  noticeCommands(program, client);
}

function projectsText(p: PersonView): string {
  return [...new Set(p.memberships.map((m) => (m.role === 'project-lead' ? `${m.project}*` : m.project)))].join(',');
}

function importCommand(program: Command, client: () => Client): void {
  program
    .command('import')
    .description('take people, projects and allocations in from a source of facility/people.yaml; shows the plan first')
    .option('--source <name>')
    .option('--status', 'print when each source was last read and what came of it')
    .option('--dry-run', 'only the plan')
    .option('--force', 'however many members it ends')
    .option('--people <file>', 'CSV to send, for a source of kind csv')
    .option('--projects <file>')
    .option('--memberships <file>')
    .option('--allocations <file>')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  beamway import --source ldap --dry-run\n  beamway import --source roster --people people.csv --memberships memberships.csv\n  beamway import --status\n',
    )
    .action(async (options: ImportOptions) => {
      if (options.status === true) return printStatus(client(), options.json);
      if (options.source === undefined) throw new CommandError('Say --source NAME, or --status.');
      const csv = Object.fromEntries(
        CSV_FILES.flatMap((name) => {
          const path = options[name];
          return path === undefined ? [] : [[name, readCsv(path)] as const];
        }),
      );
      const wish = {
        source: options.source,
        force: options.force === true,
        ...(Object.keys(csv).length === 0 ? {} : { csv }),
      };
      if (options.json === true) return printJson(await send(client(), { ...wish, dryRun: options.dryRun === true }));
      // What is applied is planned anew: the source may have changed between the two.
      process.stdout.write(planText(await send(client(), { ...wish, dryRun: true })));
      if (options.dryRun === true) return;
      process.stdout.write(outcomeText(await send(client(), { ...wish, dryRun: false })));
    });
}

function readCsv(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CommandError(
      `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      EXIT.usage,
    );
  }
}

const SIGNS = { added: '+', changed: '~', ended: '-' } as const;

function planText({ plan }: Imported): string {
  const changes = plan.changes.map(
    (c) => `${SIGNS[c.change]} ${c.kind} ${c.key}${c.fields.length === 0 ? '' : ` (${c.fields.join(', ')})`}\n`,
  );
  const ignored = plan.ignored.map((i) => `! ${i.what}: ${i.reason}\n`);
  const count = (change: keyof typeof SIGNS): number => plan.changes.filter((c) => c.change === change).length;
  const sum = `plan: ${count('added')} added, ${count('changed')} changed, ${count('ended')} ended, ${plan.ignored.length} ignored; ends ${(plan.endedShare * 100).toFixed(1)} % of the members\n`;
  return [...changes, ...ignored, sum].join('');
}

function outcomeText(done: Imported): string {
  const count = (list: readonly unknown[], words: string): string =>
    list.length === 0 ? '' : `, ${list.length} ${words}`;
  return `applied: ${done.plan.changes.length} changes${count(done.disabled, 'people disabled')}${count(done.left, 'memberships lost')}${count(done.revoked, 'bearers revoked')}${count(done.flagged, 'tokens kept and flagged')}\n`;
}

async function printStatus(client: Client, json: boolean | undefined): Promise<void> {
  const { sources } = await client.call('import.list');
  if (json === true) return printJson({ sources });
  process.stdout.write(
    table(
      ['source', 'kind', 'every', 'last tried', 'last good', 'what came of it'],
      sources.map((s) => [
        s.name,
        s.kind,
        s.syncMinutes === null ? 'by hand' : `${s.syncMinutes} min`,
        shortTime(s.triedAt),
        shortTime(s.doneAt),
        s.failure ?? (s.counts === null ? '-' : countsText(s.counts)),
      ]),
    ),
  );
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return (
    Object.entries(counts)
      .map(([what, n]) => `${n} ${what}`)
      .join(', ') || 'no change'
  );
}

function noticeCommands(program: Command, client: () => Client): void {
  const notice = program.command('notice').description('tokens, allocations and memberships that end soon');
  notice
    .command('list')
    .description('the own ones and those of projects that one leads; all for staff')
    .option('--limit <count>', 'at most so many', positiveInteger)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway notice list\n')
    .action(async ({ json, ...query }: { limit?: number; json?: boolean }) => {
      const answer = await client().call('notice.list', { query });
      if (json === true) return printJson(answer);
      process.stdout.write(
        table(
          ['ends', 'within', 'for', 'told', 'notice'],
          answer.notices.map((n) => [
            shortTime(n.endsAt),
            `${n.days} d`,
            n.subjects.join(','),
            shortTime(n.deliveredAt),
            n.text,
          ]),
        ),
      );
    });
  notice
    .command('send')
    .description('look now for what ends soon, and tell those whom nobody told')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway notice send\n')
    .action(async (options: { json?: boolean }) => {
      const done = await client().call('notice.send');
      if (options.json === true) return printJson(done);
      process.stdout.write(`${done.written} new, ${done.delivered} delivered, ${done.failed} failed\n`);
    });
}
