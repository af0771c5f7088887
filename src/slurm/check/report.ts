/** Runs the rules on a site and writes the report for a person or a program. Pure. */
import { RULES, type Rule, type Severity } from './rules.ts';
import type { Site } from './site.ts';

export interface Finding extends Omit<Rule, 'found'> {
  readonly found: string;
}

export interface CheckReport {
  readonly source: string;
  readonly findings: readonly Finding[];
  readonly unseen: readonly string[];
}

const ORDER: readonly Severity[] = ['risk', 'seconds', 'note'];

export function checkSite(site: Site): CheckReport {
  const findings = RULES.flatMap(({ found, ...rule }) => {
    const value = found(site);
    return value === undefined ? [] : [{ ...rule, found: value }];
  });
  return {
    source: site.source,
    findings: ORDER.flatMap((severity) => findings.filter((f) => f.severity === severity)),
    unseen: [...site.unseen, ...site.conf.notes],
  };
}

export const hasRisk = (report: CheckReport): boolean => report.findings.some((f) => f.severity === 'risk');

export function reportText({ source, findings, unseen }: CheckReport): string {
  const count = (severity: Severity): number => findings.filter((f) => f.severity === severity).length;
  const blocks = findings.map(
    (f) => `${f.severity.padEnd(8)}${f.id}: ${f.found}\n        ${f.why}\n        we would write: ${f.write}\n`,
  );
  return [
    `${source}\n`,
    ...blocks,
    `risks: ${count('risk')}, what costs seconds: ${count('seconds')}, notes: ${count('note')}\n`,
    ...unseen.map((u) => `not looked at: ${u}\n`),
  ]
    .join('\n')
    .replaceAll(/\n\nnot looked/g, '\nnot looked');
}

/** The table of docs/operate/slurm-check.md, kept in step by a test. */
export function ruleTable(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = RULES.map(
    (r) => `| \`${r.id}\` | ${r.severity} | ${cell(r.reads)} | ${cell(r.why)} | ${cell(r.write)} |`,
  );
  return ['| rule | severity | reads | why | we would write |', '|---|---|---|---|---|', ...rows].join('\n');
}
