/**
 * The house's shape, held by a test: imports go left to right along the dependency rule and only through a room's index.ts, no drawer by name,
 * no file beyond the cap, and the node's module graph holds nothing of the control plane. docs/rfd/0001-rooms.md.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');
const CAP_LINES = 500;
const BANNED = /(^|\/)(utils?|helpers?|common|shared|core|misc|lib|manager)(\/|\.)/i;

/** A room may import those of a higher number than its own… rooms of one level never import each other. */
const LEVEL: Readonly<Record<string, number>> = {
  api: 0,
  pathway: 1,
  operations: 2,
  scheduling: 3,
  streaming: 3,
  files: 4,
  compute: 5,
  policy: 6,
  identity: 7,
  audit: 8,
  facility: 9,
  batch: 9,
  database: 10,
};
/** `streaming` takes what it needs of jobs as values; `compute` takes streams as functions. */
const FORBIDDEN: readonly (readonly [string, string])[] = [['streaming', 'compute']];
/** Contract modules: the wire, free of every room, so that both ends may import it. */
const CONTRACT = /^src\/(?:api|slurm)\/contract\//;
/** Rooms that run on other hosts: no room imports them, and they import no room. */
const APART: ReadonlySet<string> = new Set(['dsn', 'slurm']);

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = globSync(
  ['src/**/*.ts', 'clients/**/*.ts', 'examples/**/*.ts', 'bench/**/*.ts', 'test/**/*.ts', 'scripts/**/*.ts'],
  { cwd: root },
).filter((f) => !f.includes('node_modules'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]\s*\)|(?:^|\n)import\s*['"](\.[^'"]+)['"]/g,
  );
  return [...found].map((match) => ({
    from: file,
    to: relative(root, resolve(root, dirname(file), match[1] ?? match[2] ?? match[3] ?? '')),
  }));
}

const roomOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1];
const isTest = (file: string): boolean =>
  /\.(test|conformance|fixture)\.ts$|\/testing\.ts$|shared-test-server\.ts$/.test(file);
const product = sources.filter((f) => f.startsWith('src/') && !isTest(f));

test('every folder of src/ is a room of the dependency rule, or stands apart', () => {
  const rooms = new Set(product.flatMap((f) => roomOf(f) ?? []));
  for (const room of APART) rooms.delete(room);
  assert.deepEqual(
    [...rooms].filter((r) => LEVEL[r] === undefined),
    [],
  );
});

test('imports between rooms go left to right, and through the index only', () => {
  const faults: string[] = [];
  for (const { from, to } of product.flatMap(importsOf)) {
    const [a, b] = [roomOf(from), roomOf(to)];
    if (b === undefined || a === b || CONTRACT.test(to)) continue;
    if (a === undefined) {
      if (!to.endsWith('/index.ts')) faults.push(`${from} enters ${b} past its index: ${to}`);
      continue;
    }
    if (APART.has(a) || APART.has(b)) faults.push(`${from} -> ${to}: ${APART.has(a) ? a : b} stands apart`);
    else if ((LEVEL[a] ?? 99) >= (LEVEL[b] ?? -1)) faults.push(`${from} -> ${to}: ${a} may not import ${b}`);
    else if (FORBIDDEN.some(([x, y]) => x === a && y === b)) faults.push(`${from} -> ${to}: ${a} never imports ${b}`);
    else if (!to.endsWith('/index.ts')) faults.push(`${from} enters ${b} past its index: ${to}`);
  }
  assert.deepEqual(faults, []);
});

test('the contract imports nothing but itself', () => {
  const faults = product
    .filter((f) => CONTRACT.test(f))
    .flatMap(importsOf)
    .filter(({ from, to }) => CONTRACT.exec(to)?.[0] !== CONTRACT.exec(from)?.[0]);
  assert.deepEqual(faults, []);
});

test('rooms import root files only from the short list that every room may know', () => {
  const known = new Set([
    'src/clock.ts',
    'src/problems.ts',
    'src/id.ts',
    'src/process-identity.ts',
    'src/address-list.ts',
    'src/config.ts',
    'src/free-ports.ts',
  ]);
  const faults = product
    .filter((f) => roomOf(f) !== undefined)
    .flatMap(importsOf)
    .filter(({ to }) => /^src\/[^/]+\.ts$/.test(to) && !known.has(to));
  assert.deepEqual(faults, []);
});

for (const { entry, room, root: composition } of [
  { entry: 'src/node-main.ts', room: 'dsn', root: 'src/node.ts' },
  { entry: 'src/slurm-agent-main.ts', room: 'slurm', root: 'src/slurm-agent.ts' },
  { entry: 'src/slurm-signer-main.ts', room: 'slurm', root: 'src/slurm-signer.ts' },
])
  test(`the module graph of ${entry} holds no database, no pg and no control plane`, () => {
    const seen = new Set<string>();
    const outside = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const match of readFileSync(join(root, file), 'utf8').matchAll(/from\s*['"]([^.'"][^'"]*)['"]/g))
        outside.add(match[1] ?? '');
      for (const { to } of importsOf(file)) visit(to);
    };
    visit(entry);
    const rooms = new Set([...seen].filter((f) => !CONTRACT.test(f)).flatMap((f) => roomOf(f) ?? []));
    assert.deepEqual([...rooms], [room]);
    assert.ok(seen.has(composition));
    assert.deepEqual(
      [...outside].filter((name) => /^(pg|kysely|pg-boss|fastify|ws)$/.test(name)),
      [],
    );
  });

test('clients import contract types only', () => {
  const faults = sources
    .filter((f) => f.startsWith('clients/'))
    .flatMap(importsOf)
    .filter(({ from, to }) => to.startsWith('src/') && !(CONTRACT.test(to) && typeOnly(from, to)));
  assert.deepEqual(faults, []);
});

function typeOnly(from: string, to: string): boolean {
  const text = readFileSync(join(root, from), 'utf8');
  const name = to.split('/').at(-1) ?? '';
  return text
    .split('\n')
    .filter((line) => line.includes(`/${name}'`) && line.includes('src/api/contract'))
    .every((line) => /^\s*(import|export) type /.test(line));
}

test('no folder or file is a drawer by name', () => {
  assert.deepEqual(
    sources.filter((f) => BANNED.test(f)),
    [],
  );
});

test(`no file has more than ${CAP_LINES} lines`, () => {
  const long = sources
    .map((f) => ({ f, lines: readFileSync(join(root, f), 'utf8').split('\n').length }))
    .filter(({ lines }) => lines > CAP_LINES);
  assert.deepEqual(long, []);
});

test('every room has a README and an index, its only door', () => {
  const rooms = [...new Set(product.flatMap((f) => roomOf(f) ?? []))];
  const missing = rooms
    .flatMap((room) => ['README.md', 'index.ts'].map((file) => `src/${room}/${file}`))
    .filter((path) => globSync(path, { cwd: root }).length === 0);
  assert.deepEqual(missing, []);
});

test('process.env is read only by composition roots, and SQL stands only in stores', () => {
  const env = product.filter(
    (f) => roomOf(f) !== undefined && readFileSync(join(root, f), 'utf8').includes('process.env'),
  );
  assert.deepEqual(env, []);
  const sql = product.filter(
    (f) =>
      !f.startsWith('src/database/') &&
      !/store\.ts$/.test(f) &&
      /from 'kysely'/.test(readFileSync(join(root, f), 'utf8')),
  );
  assert.deepEqual(sql, []);
});

test('every source file begins by saying what it is', () => {
  const silent = product.filter((f) => !/^(#!.*\n)?(\/\*\*|\/\/)/.test(readFileSync(join(root, f), 'utf8')));
  assert.deepEqual(silent, []);
});
