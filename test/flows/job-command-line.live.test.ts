/** `./beamway job …` and `cluster …` against a live server whose cluster is a PLAYED Slurm: every flag of submit, control, output that is followed across a broken connection, what the cluster says. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { type ApiServer, type Bearer, eventually, fileScope, startApiServer } from './api-server.ts';
import { type PlayedSlurm, playSlurm } from './played-slurm.fixture.ts';

const LAUNCHER = join(import.meta.dirname, '../../beamway');
const scope = fileScope();
let api: ApiServer;
let slurm: PlayedSlurm;
let token: Bearer;
let home = '';
let script = '';

before(async () => {
  api = await startApiServer(scope, { slurmClusters: ['slurm01'], environmentsOn: { ace: 'slurm01' } });
  slurm = await playSlurm(scope, api, 'slurm01');
  token = await api.token();
  home = mkdtempSync(join(tmpdir(), 'beamway-job-cli-'));
  scope.after(async () => rmSync(home, { recursive: true }));
  script = join(home, 'work.sh');
  writeFileSync(script, '#!/bin/sh\ntrue\n');
});

function start(args: readonly string[], url = api.url) {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, BEAMWAY_URL: url, BEAMWAY_TOKEN: token.value };
  const child = spawn(LAUNCHER, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  const ended = once(child, 'close').then(([code]) => ({ code: Number(code), out, err }));
  return { ended, out: () => out };
}

const beamway = (...args: string[]) => start(args).ended;
const orderOf = (id: string) =>
  slurm.asked.find((a) => a.act === 'submit' && (a.input as { key: string }).key === id)?.input as Record<
    string,
    unknown
  >;
const submitted = async (...args: string[]): Promise<string> => {
  const ran = await beamway('job', 'submit', ...args);
  assert.equal(ran.code, 0, ran.err);
  return ran.out.trim();
};
const attempt = (more: object = {}) => ({
  ...{ attempt: 1, submission: 1, nativeId: '1', startedAtMs: Date.now(), nodes: ['c1'] },
  ...{ stdoutPath: '/o', stderrPath: '/e' },
  ...more,
});

test('every flag of submit says what it says', async () => {
  const first = await submitted(script);
  const flags =
    '--array 0-9:2%3 --gres gpu:2 --memory 4G --hold --at 2030-01-01T00:00Z --partition gpu --reservation beam --constraint a100 --exclusive --container /img --directory /work --stdout /work/o --stderr /work/e --resubmit-if-lost --no-requeue';
  const id = await submitted(...flags.split(' '), '--depends-on', `${first}:ended`, script, 'a', 'b c');
  const { key: _, asker: __, script: text, environment: ___, claims: ____, ...order } = orderOf(id);
  assert.equal(text, '#!/bin/sh\ntrue\n');
  assert.deepEqual(order, {
    name: 'work.sh',
    tier: 'batch',
    arguments: ['a', 'b c'],
    nodes: 1,
    slotsPerNode: 1,
    timeLimitSeconds: 3600,
    requeue: false,
    array: { first: 0, last: 9, step: 2, atOnce: 3 },
    gres: 'gpu:2',
    memoryMiBPerNode: 4096,
    hold: true,
    notBeforeMs: Date.UTC(2030, 0, 1),
    partition: 'gpu',
    reservation: 'beam',
    constraint: 'a100',
    exclusive: true,
    container: '/img',
    workDir: '/work',
    stdoutPath: '/work/o',
    stderrPath: '/work/e',
    resubmitIfLost: true,
    dependsOn: [{ key: first, when: 'ended' }],
  });
  const program = await submitted('--executable', '/opt/reduce', '--', '--run', '42');
  assert.deepEqual(
    [orderOf(program)['script'], orderOf(program)['arguments']],
    [`#!/bin/sh\nexec '/opt/reduce' "$@"\n`, ['--run', '42']],
  );
});

test('what is written wrongly is told before anything is asked', async () => {
  const wrong = [
    ['job', 'submit'],
    ['job', 'submit', '--array', '9-1', script],
    ['job', 'submit', '--at', 'tomorrow', script],
    ['job', 'submit', '--depends-on', '7', script],
    ['job', 'signal', 'job_1', 'NOPE'],
    ['job', 'update', 'job_1'],
  ];
  const before = slurm.asked.length;
  for (const args of wrong) assert.equal((await beamway(...args)).code, 2, args.join(' '));
  assert.equal(slurm.asked.length, before);
});

test('hold, release, requeue, update, signal and wait', async () => {
  const id = await submitted(script);
  assert.equal((await beamway('job', 'hold', id)).out, `${id} held: held by its user\n`);
  assert.equal((await beamway('job', 'release', id)).out, `${id} queued\n`);
  const early = await beamway('job', 'signal', id, 'USR1');
  assert.equal(early.code, 1);
  assert.match(early.err, /nothing to signal/);
  slurm.turn(id, { state: 'running', attempts: [attempt()] });
  assert.equal((await beamway('job', 'signal', id, 'sigusr1')).code, 0);
  const updated = await beamway('job', 'update', id, '--name', 'other', '--time', '2h', '--json');
  const { name, timeLimitSeconds } = JSON.parse(updated.out) as Record<string, unknown>;
  assert.deepEqual([name, timeLimitSeconds], ['other', 7200]);
  assert.equal((await beamway('job', 'requeue', id)).out, `${id} queued\n`);
  const waiting = start(['job', 'wait', id]);
  slurm.turn(id, { state: 'lost', reason: 'Slurm forgot it' });
  const ended = await waiting.ended;
  assert.deepEqual([ended.code, ended.out], [1, `${id} lost: Slurm forgot it\n`]);
  const late = await beamway('job', 'hold', id);
  assert.equal(late.code, 1);
  assert.match(late.err, /The job has ended/);
});

test('an array shows its tasks, and the output of one of them', async () => {
  const id = await submitted('--array', '0-1', script);
  const ended = { endedAtMs: Date.now(), outcome: 'completed', exitCode: 0 };
  slurm.written.set(`${id}.1`, 'of a task\n');
  slurm.turn(id, {
    state: 'running',
    tasks: { total: 2, waiting: 0, running: 1, completed: 1, failed: 0 },
    attempts: [attempt({ task: 0, ...ended }), attempt({ task: 1 })] as never,
  });
  const shown = await eventually('its tasks', async () => {
    const { out } = await beamway('job', 'show', id);
    return out.includes('1 of 2 run, 1 done') ? out : undefined;
  });
  assert.match(shown, /^task +attempt/m);
  assert.match((await beamway('job', 'list')).out, /1 of 2 run, 1 done/);
  assert.equal((await beamway('job', 'output', id)).code, 2);
  assert.equal((await beamway('job', 'output', id, '--task', '0')).out, 'of a task\n');
});

/** A server between, whose first answer with events is broken off; without `events` it knows no such route. */
async function between(events: boolean): Promise<{ readonly url: string; broken(): number; close(): void }> {
  let broken = 0;
  const server = createServer(async (request, response) => {
    const isEvents = request.url?.includes('/output/events') === true;
    if (isEvents && !events) {
      response.writeHead(404, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ code: 'no-such-route', status: 404, title: 't', detail: 'd', remedy: 'r' }));
      return;
    }
    const stop = new AbortController();
    response.on('close', () => stop.abort());
    const { host: _, connection: __, ...headers } = request.headers as Record<string, string>;
    try {
      const answer = await fetch(`${api.url}${request.url}`, { headers, signal: stop.signal });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      for await (const bytes of answer.body ?? []) {
        response.write(bytes);
        if (isEvents && broken === 0 && Buffer.from(bytes).includes('event: output')) {
          broken += 1;
          setImmediate(() => response.destroy());
          return;
        }
      }
      response.end();
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    broken: () => broken,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

for (const { events, how } of [
  { events: true, how: 'by events, which go on where they were broken off' },
  { events: false, how: 'by asking again, where a facility has no events' },
])
  test(`output is followed ${how}`, async (t) => {
    const proxy = await between(events);
    t.after(() => proxy.close());
    const id = await submitted(script);
    slurm.written.set(`${id}.1`, 'eins — ');
    slurm.turn(id, { state: 'running', attempts: [attempt()] });
    const following = start(['job', 'output', id, '--follow'], proxy.url);
    await eventually('the first words', async () => (following.out() === 'eins — ' ? true : undefined));
    slurm.written.set(`${id}.1`, 'eins — zwei\n');
    await eventually('the rest', async () => (following.out() === 'eins — zwei\n' ? true : undefined));
    const done = attempt({ endedAtMs: Date.now(), outcome: 'completed', exitCode: 0 });
    slurm.turn(id, { state: 'completed', attempts: [done] as never });
    const ended = await following.ended;
    assert.deepEqual([ended.code, ended.out], [0, 'eins — zwei\n']);
    assert.equal(proxy.broken(), events ? 1 : 0);
  });

test('what the cluster says is shown as tables and as one document', async () => {
  for (const [args, expected] of [
    [['cluster', 'partitions'], /^main\* +up +1 +4 +3600 s/m],
    [['cluster', 'nodes', 'slurm01'], /^c1 +4 +3 +1024 +gpu:2 +main +MIXED/m],
    [['cluster', 'nodes', 'local'], /^n01 +4 /m],
    [['cluster', 'reservations'], /^maint .* MAINT$/m],
    [['cluster', 'diagnostics'], /^Slurm: +22\.05\.8$/m],
    [['job', 'history', '--limit', '1'], /^more: --since \S+ --until \S+ --after 1$/m],
    [['job', 'foreign'], /^7 +by-sbatch /m],
  ] as const) {
    const ran = await beamway(...args);
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, expected);
    JSON.parse((await beamway(...args, '--json')).out);
  }
  assert.equal((await beamway('job', 'history', '--all')).code, 3);
});

test('a limit is told by its name', async () => {
  const { SlurmFailure } = await import('../../src/slurm/contract/index.ts');
  slurm.failWith = new SlurmFailure({ kind: 'limit', message: 'too many nodes', limit: 'QOSGrpNodeLimit' });
  const ran = await beamway('job', 'submit', script);
  slurm.failWith = undefined;
  assert.equal(ran.code, 3);
  assert.match(ran.err, /limit: QOSGrpNodeLimit/);
});
