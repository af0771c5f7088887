/** people.csv, projects.csv, memberships.csv, allocations.csv as facts. Pure but for `readCsvFolder`. A faulty file is refused whole, with every line that is wrong. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Allocation,
  FACILITY_ROLES,
  type FacilityRole,
  type ImportedProject,
  MAIL,
  type Membership,
  type Person,
  PROJECT_NAME,
  PROJECT_ROLES,
  type Reading,
  SUBJECT,
} from '../person.ts';
import { type CsvColumns, type CsvFault, type CsvRow, csvRows, SourceError } from './csv.ts';

export const CSV_FILES = ['people', 'projects', 'memberships', 'allocations'] as const;
export type CsvTexts = { readonly [F in (typeof CSV_FILES)[number]]?: string | undefined };

const COLUMNS: Readonly<Record<(typeof CSV_FILES)[number], CsvColumns>> = {
  people: { required: ['subject'], optional: ['name', 'mail', 'state', 'roles'] },
  projects: { required: ['name'], optional: ['title', 'environments', 'tiers', 'streams', 'queuedjobs'] },
  memberships: { required: ['project', 'subject'], optional: ['role', 'until'] },
  allocations: { required: ['project', 'cluster', 'nodehours'], optional: ['from', 'to'] },
};

/** Reads what is there; a file that is absent says nothing. Throws SourceError. */
export function readCsvFolder(folder: string, subjectPrefix: string): Reading {
  const texts = Object.fromEntries(
    CSV_FILES.flatMap((name) => {
      const path = join(folder, `${name}.csv`);
      return existsSync(path) ? [[name, readFileSync(path, 'utf8')] as const] : [];
    }),
  );
  if (Object.keys(texts).length === 0)
    throw new SourceError([
      { file: folder, line: 1, detail: 'holds none of people.csv, projects.csv, memberships.csv, allocations.csv' },
    ]);
  return parseCsvTexts(texts, subjectPrefix);
}

/** Throws SourceError with every fault of every file. */
export function parseCsvTexts(texts: CsvTexts, subjectPrefix: string): Reading {
  const faults: CsvFault[] = [];
  const rows = <T>(name: (typeof CSV_FILES)[number], read: (cells: Cells) => T): readonly T[] | undefined => {
    const text = texts[name];
    if (text === undefined) return undefined;
    const file = `${name}.csv`;
    try {
      return csvRows(file, text, COLUMNS[name]).map((row) =>
        read(cellsOf(row, (detail) => faults.push({ file, line: row.line, detail }))),
      );
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      faults.push(...error.faults);
      return undefined;
    }
  };
  const subject = (cells: Cells): string => cells.shaped('subject', SUBJECT, 'a name without blanks', subjectPrefix);
  const persons = rows('people', (cells): Person => {
    const named = subject(cells);
    return {
      subject: named,
      name: cells.text('name', 200) || named,
      mail: cells.has('mail') ? cells.shaped('mail', MAIL, 'a mail address') : null,
      state: cells.oneOf('state', ['active', 'disabled'], 'active'),
      roles: rolesOf(cells),
    };
  });
  const projects = rows(
    'projects',
    (cells): ImportedProject => ({
      name: cells.shaped('name', PROJECT_NAME, 'lower case letters, digits and hyphens, 1 to 40 characters'),
      title: cells.text('title', 200) || cells.text('name', 200),
      environments: cells.has('environments') ? cells.list('environments') : null,
      tiers: cells.has('tiers') ? cells.list('tiers') : null,
      streams: cells.has('streams') ? cells.whole('streams') : null,
      queuedJobs: cells.has('queuedjobs') ? cells.whole('queuedjobs') : null,
    }),
  );
  const memberships = rows(
    'memberships',
    (cells): Membership => ({
      project: cells.text('project', 40),
      subject: subject(cells),
      role: cells.oneOf('role', PROJECT_ROLES, 'member'),
      until: cells.has('until') ? cells.time('until') : null,
    }),
  );
  const allocations = rows('allocations', (cells): Allocation => {
    const from = cells.has('from') ? cells.time('from') : null;
    const to = cells.has('to') ? cells.time('to') : null;
    if (from !== null && to !== null && to <= from) cells.fault('to: must be after from');
    return {
      project: cells.text('project', 40),
      cluster: cells.text('cluster', 40),
      nodeHours: cells.amount('nodehours'),
      from,
      to,
    };
  });
  if (faults.length > 0) throw new SourceError(faults);
  return {
    ignored: [],
    ...(persons === undefined ? {} : { persons }),
    ...(projects === undefined ? {} : { projects }),
    ...(memberships === undefined ? {} : { memberships }),
    ...(allocations === undefined ? {} : { allocations }),
  };
}

interface Cells {
  has(name: string): boolean;
  text(name: string, most: number): string;
  shaped(name: string, shape: RegExp, wanted: string, prefix?: string): string;
  oneOf<T extends string>(name: string, of: readonly T[], otherwise: T): T;
  list(name: string): readonly string[];
  whole(name: string): number;
  amount(name: string): number;
  /** A date or time, ISO 8601; a date alone is its begin in UTC. */
  time(name: string): string;
  fault(detail: string): void;
}

function cellsOf({ fields }: CsvRow, fault: (detail: string) => void): Cells {
  const of = (name: string): string => fields[name] ?? '';
  const number = (name: string, shape: RegExp, most: number): number => {
    const value = shape.test(of(name)) ? Number(of(name)) : Number.NaN;
    if (!(value <= most)) fault(`${name}: a number from 0 to ${most}, not ${JSON.stringify(of(name).slice(0, 40))}`);
    return value;
  };
  return {
    fault,
    has: (name) => of(name) !== '',
    text(name, most) {
      if (of(name).length > most || /\p{Cc}/u.test(of(name)) || !of(name).isWellFormed())
        fault(`${name}: at most ${most} characters, no control characters`);
      return of(name);
    },
    shaped(name, shape, wanted, prefix = '') {
      const value = prefix + of(name);
      if (of(name) === '' || !shape.test(value) || !value.isWellFormed())
        fault(`${name}: ${wanted}, not ${JSON.stringify(of(name).slice(0, 40))}`);
      return value;
    },
    oneOf(name, list, otherwise) {
      const found = of(name) === '' ? otherwise : list.find((v) => v === of(name));
      if (found === undefined) fault(`${name}: one of ${list.join(', ')}`);
      return found ?? otherwise;
    },
    list: (name) => [
      ...new Set(
        of(name)
          .split(';')
          .map((v) => v.trim())
          .filter((v) => v !== ''),
      ),
    ],
    whole: (name) => number(name, /^\d{1,9}$/, 2_147_483_647),
    amount: (name) => number(name, /^\d{1,12}(\.\d{1,6})?$/, 1e12),
    time(name) {
      const at = /^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/.test(of(name)) ? new Date(of(name)) : new Date(Number.NaN);
      // 2026-02-31 would become a day in March.
      if (!Number.isNaN(at.getTime()) && of(name).startsWith(at.toISOString().slice(0, 10))) return at.toISOString();
      fault(`${name}: a date such as 2026-12-31, or a time such as 2026-12-31T12:00:00Z`);
      return new Date(0).toISOString();
    },
  };
}

function rolesOf(cells: Cells): readonly FacilityRole[] {
  const named = cells.list('roles');
  const wrong = named.filter((name) => !FACILITY_ROLES.some((r) => r === name));
  if (wrong.length > 0) cells.fault(`roles: ${wrong.join(', ')} is none of ${FACILITY_ROLES.join(', ')}`);
  return FACILITY_ROLES.filter((role) => named.includes(role));
}
