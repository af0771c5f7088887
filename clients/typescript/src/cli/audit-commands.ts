/** `beamway audit list|show|trace|export|verify|key|checkpoint`: what happened, and whether the log of it still holds. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import type { AuditRecordText } from './audit-cef.ts';
import { type ExportWish, exportedLines } from './audit-export.ts';
import { CommandError, EXIT } from './context.ts';
import { positiveInteger } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

interface ListOptions {
  readonly project?: string;
  readonly request?: string;
  readonly action?: string;
  readonly caller?: string;
  readonly subject?: string;
  readonly phase?: AuditRecordText['phase'];
  readonly denied?: boolean;
  readonly status?: number;
  readonly since?: string;
  readonly until?: string;
  readonly before?: number;
  readonly after?: number;
  readonly limit: number;
  readonly json?: boolean;
}

export function auditCommands(program: Command, client: () => Client): void {
  const audit = program.command('audit').description('the hash-chained audit log');

  audit
    .command('list')
    .description('records, newest first')
    .option('--project <name>')
    .option('--request <id>', 'all of one request')
    .option('--action <operation>', 'for example job.submit')
    .option('--caller <id>', 'what one bearer did')
    .option('--subject <name>', 'what was done in one person’s name')
    .option('--phase <phase>', 'intent, outcome, denied or event', phase)
    .option('--denied', 'denials only')
    .option('--status <code>', 'answers with one status only', positiveInteger)
    .option('--since <time>', 'ISO 8601', time)
    .option('--until <time>', 'ISO 8601, exclusive', time)
    .option('--before <sequence>', 'the page before', positiveInteger)
    .option('--after <sequence>', 'oldest first, behind this one', positiveInteger)
    .option('--limit <count>', 'at most so many', positiveInteger, 50)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway audit list --project demo --denied --since 2026-01-01T00:00:00Z\n')
    .action(async (options: ListOptions) => {
      const { json, request, denied, ...same } = options;
      if (denied === true && options.phase !== undefined && options.phase !== 'denied')
        throw new CommandError('--denied and --phase contradict each other.');
      const query = {
        ...same,
        ...(request === undefined ? {} : { requestId: request }),
        ...(denied === true ? { phase: 'denied' as const } : {}),
      };
      const listed = await client().call('audit.list', { query });
      if (json === true) return printJson(listed);
      process.stdout.write(recordTable(listed.records));
    });

  audit
    .command('show')
    .argument('<sequence>', 'number of the record', positiveInteger)
    .description('one record, whole')
    .option('--project <name>')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway audit show 4711\n')
    .action(async (sequence: number, options: { project?: string; json?: boolean }) => {
      const query = options.project === undefined ? {} : { project: options.project };
      const record = await client().call('audit.show', { params: { id: String(sequence) }, query });
      if (options.json === true) return printJson(record);
      const { detail, ...fields } = record;
      process.stdout.write(details([...Object.entries(fields), ['detail', JSON.stringify(detail)]]));
    });

  audit
    .command('trace')
    .argument('<id>', 'of a request, token, job, stream or run')
    .description(
      'its whole story in the order of time: which bearer, which call, what it made, who connected, how many bytes',
    )
    .option('--project <name>')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway audit trace req_0123456789abcdefghjk --project demo\n')
    .action(async (id: string, options: { project?: string; json?: boolean }) => {
      const query = options.project === undefined ? {} : { project: options.project };
      const story = await client().call('audit.trace', { params: { id }, query });
      if (options.json === true) return printJson(story);
      if (story.records.length === 0) throw new CommandError(`nothing is known of ${id}`, EXIT.notFound);
      process.stdout.write(recordTable(story.records));
      if (story.cut) process.stderr.write('beamway: the story is longer; ask for one request, job or stream of it\n');
    });

  audit
    .command('export')
    .description('records, oldest first, a line each')
    .option('--format <format>', 'jsonl or cef', format, 'jsonl')
    .option('--project <name>')
    .option('--since <time>', 'ISO 8601', time)
    .option('--until <time>', 'ISO 8601, exclusive', time)
    .option('--after <sequence>', 'begin behind this record', positiveInteger)
    .addHelpText('after', '\nExample:\n  beamway audit export --since 2026-01-01T00:00:00Z > audit.jsonl\n')
    .action(async (options: ExportWish) => {
      for await (const line of exportedLines(client(), options)) await written(line);
    });

  audit
    .command('verify')
    .description('walk the chain and its checkpoints; exit 1 and name the first broken link where there is one')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  beamway audit verify\n  beamway audit verify --records audit.jsonl --key audit-key.pem\n',
    )
    .action((options: { json?: boolean }) => printVerification(client(), options));

  audit
    .command('key')
    .description('the public key that checkpoints are signed with, PEM')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway audit key > audit-key.pem\n')
    .action(async (options: { json?: boolean }) => {
      const key = await client().call('audit.key');
      if (options.json === true) return printJson(key);
      process.stdout.write(key.publicKey);
    });

  audit
    .command('checkpoint')
    .description('seal the chain now with a signed checkpoint; a line of JSON')
    .option('--list', 'all checkpoints in place of making one, a line each')
    .addHelpText('after', '\nExample:\n  beamway audit checkpoint --list > checkpoints.jsonl\n')
    .action(async (options: { list?: boolean }) => {
      if (options.list !== true)
        return void process.stdout.write(`${JSON.stringify(await client().call('audit.checkpoint'))}\n`);
      for (let after: number | null = 0; after !== null; ) {
        const page: { readonly checkpoints: readonly object[]; readonly next: number | null } = await client().call(
          'audit.checkpoints',
          { query: { after, limit: 1000 } },
        );
        for (const checkpoint of page.checkpoints) await written(`${JSON.stringify(checkpoint)}\n`);
        after = page.next;
      }
    });
}

/** Asks the facility; an exported file is verified offline, by src/audit-verbs.ts. */
export async function printVerification(client: Client, options: { readonly json?: boolean }): Promise<void> {
  const report = await client.call('audit.verify');
  if (options.json === true) printJson(report);
  else if (report.intact) {
    const sealed = report.signedThrough === null ? 'no checkpoint yet' : `signed through ${report.signedThrough}`;
    process.stdout.write(
      `intact: ${report.records} records from ${report.first ?? '?'}, ${sealed}, head ${report.head ?? ''}\n`,
    );
  } else
    process.stdout.write(`broken at record ${report.brokenAt ?? '?'}: ${report.type ?? ''}: ${report.detail ?? ''}\n`);
  if (!report.intact) process.exitCode = EXIT.failed;
}

/** What policy was asked is for `audit show` and `policy replay`; in a table it hides all else. */
function shortDetail({ question: _, ...rest }: AuditRecordText['detail']): string {
  return JSON.stringify(rest);
}

function recordTable(records: readonly AuditRecordText[]): string {
  return table(
    ['sequence', 'at', 'phase', 'caller', 'action', 'resource', 'status', 'request', 'detail'],
    records.map((r) => [
      r.sequence,
      shortTime(r.at),
      r.phase,
      `${r.callerKind}/${r.callerId}`,
      r.action,
      r.resource,
      r.status,
      r.requestId,
      shortDetail(r.detail),
    ]),
  );
}

function phase(text: string): AuditRecordText['phase'] {
  if (text === 'intent' || text === 'outcome' || text === 'denied' || text === 'event') return text;
  throw new CommandError('--phase: one of intent, outcome, denied, event');
}

function format(text: string): ExportWish['format'] {
  if (text === 'jsonl' || text === 'cef') return text;
  throw new CommandError('--format: one of jsonl, cef');
}

function time(text: string): string {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new CommandError(`${text} is no time: write it as 2026-01-31T12:00:00Z`);
  return at.toISOString();
}

/** Waits for a slow reader: an export may be far larger than memory. */
function written(line: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(line)) resolve();
    else process.stdout.once('drain', resolve);
  });
}
