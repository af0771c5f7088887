/** `beamway audit list|verify`. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { EXIT } from './context.ts';
import { positiveInteger } from './parse-arguments.ts';
import { printJson, shortTime, table } from './print.ts';

interface ListOptions {
  readonly project?: string;
  readonly request?: string;
  readonly action?: string;
  readonly before?: number;
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
    .option('--before <sequence>', 'the page before', positiveInteger)
    .option('--limit <count>', 'at most so many', positiveInteger, 50)
    .option('--json', 'print one JSON document')
    .action(async (options: ListOptions) => {
      const query = {
        limit: options.limit,
        ...(options.project === undefined ? {} : { project: options.project }),
        ...(options.request === undefined ? {} : { requestId: options.request }),
        ...(options.action === undefined ? {} : { action: options.action }),
        ...(options.before === undefined ? {} : { before: options.before }),
      };
      const listed = await client().call('audit.list', { query });
      if (options.json === true) return printJson(listed);
      process.stdout.write(
        table(
          ['sequence', 'at', 'phase', 'caller', 'action', 'resource', 'status', 'detail'],
          listed.records.map((r) => [
            r.sequence,
            shortTime(r.at),
            r.phase,
            `${r.callerKind}/${r.callerId}`,
            r.action,
            r.resource,
            r.status,
            JSON.stringify(r.detail),
          ]),
        ),
      );
    });

  audit
    .command('verify')
    .description('walk the chain; exit 1 and name the first broken link where there is one')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const report = await client().call('audit.verify');
      if (options.json === true) printJson(report);
      else
        process.stdout.write(
          report.intact
            ? `intact: ${report.records} records, head ${report.head ?? ''}\n`
            : `broken at record ${report.brokenAt ?? '?'}: ${report.detail ?? ''}\n`,
        );
      if (!report.intact) process.exitCode = EXIT.failed;
    });
}
