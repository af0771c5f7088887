import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { csvRecords, SourceError } from './csv.ts';
import { parseCsvTexts } from './read-csv.ts';

const cells = (text: string) => csvRecords('f.csv', text).map((r) => r.cells);
function faultsOf(work: () => unknown): string[] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof SourceError, String(error));
    return error.faults.map((f) => `${f.file}:${f.line}: ${f.detail}`);
  }
  return [];
}

test('quotes, doubled quotes, newlines and commas in fields, CRLF and LF, and a byte order mark are read as RFC 4180 has them', () => {
  assert.deepEqual(cells('\ufeffa,b\r\n"x ""y"", z","1\n2"\n,\n\nlast'), [
    ['a', 'b'],
    ['x "y", z', '1\n2'],
    ['', ''],
    ['last'],
  ]);
});

test('whatever fields are written as CSV are read back, each record with its own line', () => {
  const field = fc.string({ unit: fc.constantFrom('a', ' ', '"', ',', '\n', '\r\n', 'é', '🙂'), maxLength: 6 });
  const quoted = (f: string): string => `"${f.replaceAll('"', '""')}"`;
  fc.assert(
    fc.property(fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 5 }), (table) => {
      const text = table.map((row) => `${row.map(quoted).join(',')}\r\n`).join('');
      const records = csvRecords('f.csv', text);
      assert.deepEqual(
        records.map((r) => r.cells),
        table,
      );
      for (const [i, record] of records.entries()) {
        const before = table.slice(0, i).flat().join('');
        assert.equal(record.line, 1 + i + (before.match(/\r\n|\r|\n/g)?.length ?? 0));
      }
    }),
  );
});

test('whatever a file holds, reading it gives facts or a SourceError that names lines', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.string({ unit: fc.constantFrom('subject', 'project', ',', '\n', '"', 'a', '\ufeff'), maxLength: 30 }),
  );
  fc.assert(
    fc.property(text, text, (people, memberships) => {
      try {
        parseCsvTexts({ people, memberships }, '');
      } catch (error) {
        assert.ok(error instanceof SourceError, String(error));
        for (const fault of error.faults) assert.ok(fault.line >= 1);
      }
    }),
    { numRuns: 500 },
  );
});

test('every wrong line of every file is told at once, and the files are refused whole', () => {
  const faults = faultsOf(() =>
    parseCsvTexts(
      {
        people: 'subject,mail,state,roles\nada,ada@example.org,active,operator\n"b\nb",,gone,king\n',
        memberships: 'project,subject,until\ndemo,ada,2026-02-31\n',
        allocations: 'project,cluster,nodeHours,from,to\ndemo,local,many,2026-02-02,2026-01-01\n',
        projects: 'title\nx\n',
      },
      '',
    ),
  );
  assert.deepEqual(
    faults.map((f) => f.split(': ').slice(0, 2).join(': ')),
    [
      'people.csv:3: subject',
      'people.csv:3: state',
      'people.csv:3: roles',
      'projects.csv:1: column name is missing',
      'memberships.csv:2: until',
      'allocations.csv:2: to',
      'allocations.csv:2: nodehours',
    ],
  );
});

test('a good set of files is its facts; a file that is absent says nothing', () => {
  const reading = parseCsvTexts(
    {
      people: 'Subject,Name,Roles\nada,Ada Lovelace,operator; security\n',
      allocations: 'project,cluster,nodehours,from\ndemo,local,1200.5,2026-01-01\n',
    },
    'campus:',
  );
  assert.deepEqual(reading.persons, [
    { subject: 'campus:ada', name: 'Ada Lovelace', mail: null, state: 'active', roles: ['operator', 'security'] },
  ]);
  assert.deepEqual(reading.allocations, [
    { project: 'demo', cluster: 'local', nodeHours: 1200.5, from: '2026-01-01T00:00:00.000Z', to: null },
  ]);
  assert.equal(reading.memberships, undefined);
});
