/**
 * Runs the tests and closes with "N passed, N failed, N skipped". `all`: everything. `check`: the fast gate (format, lint, types, generated pages,
 * and the tests that start no server). A skip for want of a Debian package names the apt line; with BEAMWAY_REQUIRE_ALL=1 it fails the run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { stopSharedTestServer } from '../src/database/testing.ts';

const root = new URL('..', import.meta.url).pathname;
process.chdir(root);

/** Test files that start real servers, schedulers or many processes: not part of `check`. */
const REAL = [
  /\/database\//,
  /\/compute\/local\//,
  /\.live\.test\.ts$/,
  /^test\/flows\//,
  /\/relay\//,
  /^examples\//,
  /^bench\//,
];
const TEST_MS = 240_000;
const CONCURRENCY = 2;

const suite = process.argv[2] ?? 'all';
if (suite !== 'all' && suite !== 'check') {
  process.stderr.write('usage: run-tests.ts all|check\n');
  process.exit(2);
}

const began = performance.now();
const seconds = (): string => ((performance.now() - began) / 1000).toFixed(1);
let failedSteps = 0;

async function step(name: string, program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code === 0) return void process.stdout.write(`✔ ${name} (${seconds()} s)\n`);
  failedSteps += 1;
  process.stdout.write(`✖ ${name}\n`);
}

if (suite === 'check') {
  await step('format and lint', 'scripts/biome.sh', ['check', '--error-on-warnings', '.']);
  await step('types', 'node_modules/.bin/tsc', ['-p', 'tsconfig.json']);
  await step('generated pages', process.execPath, [
    '--disable-warning=ExperimentalWarning',
    'scripts/generate.ts',
    '--check',
  ]);
}

const found = globSync(
  ['src/**/*.test.ts', 'clients/**/*.test.ts', 'examples/**/*.test.ts', 'bench/**/*.test.ts', 'test/**/*.test.ts'],
  {
    exclude: (path) => path.includes('node_modules'),
  },
).sort();
const files = suite === 'all' ? found : found.filter((file) => !REAL.some((pattern) => pattern.test(file)));

const count = { passed: 0, failed: 0, skipped: 0, missing: 0 };
const stream = run({ files: files.map((file) => `${root}${file}`), concurrency: CONCURRENCY, timeout: TEST_MS });
// Files and suites are containers: only what asserts something is counted.
const isContainer = (data: {
  readonly details: { readonly type?: string };
  readonly nesting: number;
  readonly name: string;
}): boolean => data.details.type === 'suite' || data.name.endsWith('.test.ts');
stream.on('test:pass', (data) => {
  if (isContainer(data)) return;
  if (data.skip === undefined && data.todo === undefined) count.passed += 1;
  else {
    count.skipped += 1;
    if (String(data.skip).includes('apt-get')) count.missing += 1;
  }
});
stream.on('test:fail', (data) => {
  if (data.details.type !== 'suite') count.failed += 1;
});
stream.compose(spec).pipe(process.stdout);
await once(stream, 'end');
await stopSharedTestServer();

const requireAll = process.env['BEAMWAY_REQUIRE_ALL'] === '1';
if (count.missing > 0) {
  process.stdout.write(`\n${count.missing} tests were skipped for want of Debian packages; to run them: `);
  await step('', 'sh', ['scripts/test-packages.sh', 'line']);
  if (requireAll) count.failed += count.missing;
}
count.failed += failedSteps;
process.stdout.write(
  `\n${files.length} test files, ${seconds()} s\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
);
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0);
