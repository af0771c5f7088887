// What Slurm's programs said is read as it was meant: failures recorded from 22.05.8, hostile names, bytes of any kind.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { failureOf } from './failure-of.ts';
import { hostsOf, pairsOf, secondsOf, tasksOf, timeOf, waitStatusOf } from './read-values.ts';
import { runCommand } from './run-command.ts';
import { parseAccounting } from './sacct.ts';
import { parseNodes } from './scontrol-show-node.ts';
import { parsePartitions } from './scontrol-show-partition.ts';
import { parseReservations } from './scontrol-show-reservation.ts';
import { parseDiagnostics } from './sdiag.ts';
import { parseQueue } from './squeue.ts';

const FAILURES = readFileSync(new URL('recordings/failures.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split(' | ', 3));

for (const [kind = '', part = '', text = ''] of FAILURES)
  test(`«${text.slice(0, 70)}» is ${kind}`, () => {
    const failure = failureOf({ code: 1, stdout: '', stderr: text.replaceAll(' / ', '\n') }, 'it failed');
    assert.equal(failure?.kind, kind);
    assert.match(failure?.message ?? '', new RegExp(part));
  });

test('a program that says nothing and ends with 0 has not failed', () => {
  assert.equal(failureOf({ code: 0, stdout: 'x', stderr: '' }, 'it failed'), undefined);
});

// Fields in the order of squeue.ts, values as 22.05.8 printed them.
const QUEUE_ROW = ['2', '2', 'N/A', 'bw-demo', 'demo', 'batch', 'batch', 'PENDING', 'JobHeldUser', '0', '0', '1', '1'];
const QUEUE_TIMES = ['', '5:00', '2026-11-23T09:44:21', 'N/A', 'N/A', 'N/A', 'N/A', '768'];

test('whatever stands in name and comment, rows stay rows', () => {
  const bytes = fc.string({ unit: 'binary', maxLength: 300 }).filter((s) => !s.includes('|D|'));
  fc.assert(
    fc.property(fc.array(fc.tuple(bytes, bytes), { maxLength: 5 }), (jobs) => {
      const text = jobs.map(([n, c]) => [...QUEUE_ROW, ...QUEUE_TIMES, c, n, '\n'].join('|D|')).join('');
      const rows = parseQueue(text, '|D|');
      assert.deepEqual(
        rows.map((r) => r.name),
        jobs.map(([n]) => n),
      );
      for (const row of rows) {
        assert.equal(row.exitCode, 3);
        assert.equal(row.timeLimitMinutes, 5);
        assert.equal(row.submitMs, Date.parse('2026-11-23T09:44:21Z'));
      }
    }),
  );
});

test('no text makes a reader throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
      for (const read of [parseNodes, parsePartitions, parseReservations, parseDiagnostics, pairsOf]) read(text);
      for (const read of [timeOf, secondsOf, tasksOf, hostsOf, waitStatusOf]) read(text);
      parseQueue(text, '|');
      parseAccounting(text, '|');
      failureOf({ code: 1, stdout: text, stderr: text }, 'it failed');
    }),
  );
});

test('lists of hosts and tasks are written out, with their zeros, and bounded', () => {
  assert.deepEqual(hostsOf('n[1-3,07-09],m3'), ['n1', 'n2', 'n3', 'n07', 'n08', 'n09', 'm3']);
  assert.deepEqual(tasksOf('0-2,5,10-20:5%2'), [0, 1, 2, 5, 10, 15, 20]);
  assert.equal(hostsOf('n[0-999999999]').length, 100_000);
  assert.equal(tasksOf('0-99999999')?.length, 100_000);
});

test('durations, times and wait statuses are read, and what is none is none', () => {
  assert.equal(secondsOf('1-00:00:00'), 86_400);
  assert.equal(secondsOf('5:00'), 300);
  for (const none of ['UNLIMITED', 'infinite', 'INVALID', 'Partition_Limit', 'N/A'])
    assert.equal(secondsOf(none), undefined);
  for (const none of ['Unknown', 'N/A', 'None', '']) assert.equal(timeOf(none), undefined);
  assert.deepEqual(waitStatusOf('768'), { exitCode: 3 });
  assert.deepEqual(waitStatusOf('9'), { signal: 9 });
});

test('never more than four programs run at once, however the calls come', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-run-'));
  try {
    // Each counts those that run with it.
    const program = `#!/bin/sh\nmkdir ${dir}/on.$$; ls -d ${dir}/on.* | wc -l; sleep 0.05; rmdir ${dir}/on.$$\n`;
    writeFileSync(join(dir, 'prog'), program);
    chmodSync(join(dir, 'prog'), 0o755);
    const run = runCommand({ binDir: dir, slurmConf: '/nonexistent' });
    const first = Array.from({ length: 12 }, () => run('prog', []));
    const more = first.map((one) => one.then(() => run('prog', [])));
    const counts = (await Promise.all([...first, ...more])).map((r) => Number(r.stdout));
    assert.ok(Math.max(...counts) <= 4, String(counts));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
