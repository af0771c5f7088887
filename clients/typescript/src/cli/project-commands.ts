/** `beamway project list|show|usage`. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { CommandError } from './context.ts';
import { duration } from './parse-arguments.ts';
import { details, printJson, shortTime, table } from './print.ts';

type Usage = Awaited<ReturnType<typeof usage>>;

const usage = (client: Client, id: string, since: string | undefined) =>
  client.call('project.usage', { params: { id }, query: since === undefined ? {} : { since } });

export function projectCommands(program: Command, client: () => Client): void {
  const project = program.command('project').description('projects, their members and what they used');
  project
    .command('list')
    .description('your projects; all for staff')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway project list\n')
    .action(async (options: { json?: boolean }) => {
      const { projects } = await client().call('project.list');
      if (options.json === true) return printJson({ projects });
      process.stdout.write(
        table(
          ['project', 'environments', 'tiers', 'from', 'title'],
          projects.map((p) => [p.name, p.environments.join(','), p.tiers.join(','), p.origin, p.title]),
        ),
      );
    });
  project
    .command('show')
    .argument('<project>')
    .description('its members, allocations and limits')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway project show demo\n')
    .action(async (name: string, options: { json?: boolean }) => {
      const shown = await client().call('project.show', { params: { id: name } });
      if (options.json === true) return printJson(shown);
      process.stdout.write(
        `${details([
          ['project', shown.name],
          ['title', shown.title],
          ['from', shown.origin],
          ['environments', shown.environments.join(', ')],
          ['tiers', shown.tiers.join(', ')],
          ['limits', `${shown.limits.streams} streams, ${shown.limits.queuedJobs} queued jobs`],
        ])}\n${table(
          ['member', 'role', 'until', 'from'],
          shown.members.map((m) => [m.subject, m.role, shortTime(m.until), m.source]),
        )}\n${table(
          ['allocation', 'node-hours', 'begins', 'ends', 'from'],
          shown.allocations.map((a) => [
            a.cluster,
            a.nodeHours.toFixed(1),
            shortTime(a.from),
            shortTime(a.to),
            a.source,
          ]),
        )}`,
      );
    });
  project
    .command('usage')
    .argument('<project>')
    .description('node-hours used, beside the allocation')
    .option('--since <time>', 'a date, an ISO 8601 time, or a duration ago such as 7d (default: 30d)')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway project usage demo --since 7d\n')
    .action(async (name: string, options: { since?: string; json?: boolean }) => {
      const shown = await usage(client(), name, options.since === undefined ? undefined : sinceTime(options.since));
      if (options.json === true) return printJson(shown);
      process.stdout.write(usageText(shown));
    });
}

function sinceTime(text: string): string {
  if (/^\d+(\.\d+)?[smhd]$/.test(text)) return new Date(Date.now() - duration(text) * 1000).toISOString();
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(at.getTime())) throw new CommandError('--since: write a date such as 2026-11-01, or 7d.');
  return at.toISOString();
}

function usageText(shown: Usage): string {
  const percent = (value: number | null): string => (value === null ? '-' : `${value.toFixed(1)} %`);
  return `${shown.project}, since ${shortTime(shown.since)}\n${table(
    ['cluster', 'used', 'a day', 'attempts', 'allocation', 'of it used', 'time gone', 'ends', 'empty at this pace'],
    shown.clusters.map((c) => [
      c.cluster,
      c.nodeHours.toFixed(2),
      c.burnPerDay.toFixed(2),
      c.attempts,
      c.allocation?.nodeHours.toFixed(1) ?? null,
      c.allocation === null ? null : `${c.allocation.used.toFixed(2)} (${percent(c.allocation.usedPercent)})`,
      percent(c.allocation?.elapsedPercent ?? null),
      shortTime(c.allocation?.to ?? null),
      shortTime(c.allocation?.emptyAt ?? null),
    ]),
  )}`;
}
