// The command line on a real Slurm 22.05: what the queue and the history say of each kind of job, what is refused, and which part is named when one is dead.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { untilUp } from '../../../test/servers/slurm/daemon.ts';
import { whyNoSlurm } from '../../../test/servers/slurm/packages.ts';
import { type SlurmServer, startSlurm } from '../../../test/servers/slurm/start-slurm.ts';
import { systemClock } from '../../clock.ts';
import type { BatchOrder, MappedUser, QueueRow, SlurmRead, SlurmWrite } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { openCommand } from './open-command.ts';

const skip = whyNoSlurm() ?? false;
const place = mkdtempSync(join(tmpdir(), 'beamway-command-'));
chmodSync(place, 0o755);
const user: MappedUser = {
  name: 'bw-demo',
  uid: 1001,
  gid: 1001,
  group: { name: 'bw-demo', gid: 1001 },
  account: 'demo',
  roots: [],
};
const order: BatchOrder = {
  name: 'plain',
  account: 'demo',
  qos: 'batch',
  script: '#!/bin/sh\nsleep 600\n',
  environment: { PATH: '/usr/bin:/bin' },
  comment: 'beamway:i:key:1:req',
  workDir: '/tmp',
  stdoutPath: '/dev/null',
  stderrPath: '/dev/null',
  nodes: 1,
  tasksPerNode: 1,
  timeLimitMinutes: 5,
  requeue: true,
  hold: false,
  exclusive: false,
};
let slurm: SlurmServer;
let command: SlurmRead & SlurmWrite;

before(async () => {
  if (skip !== false) return;
  slurm = await startSlurm({ dir: join(place, 's'), cluster: 'command', nodes: 4 });
  const become = ['/usr/sbin/runuser', '-u', '{user}', '--'];
  command = openCommand({ binDir: '/usr/bin', slurmConf: slurm.conf, become, clock: systemClock });
});
after(async () => {
  if (skip === false) await slurm?.stop();
  rmSync(place, { recursive: true, force: true });
});

const submit = (change: Partial<BatchOrder> = {}): Promise<string> => command.submit({ ...order, ...change }, user);
const rowsOf = async (id: string): Promise<readonly QueueRow[]> => (await command.job(id)) ?? [];
const untilState = (id: string, state: string): Promise<void> =>
  untilUp(`${id} ${state}`, async () => (await rowsOf(id)).some((r) => r.state === state));
const failure = async (act: Promise<unknown>): Promise<SlurmFailure> => {
  const cause = await act.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(cause instanceof SlurmFailure, `no SlurmFailure: ${String(cause)}`);
  return cause;
};
const history = () => command.history({ sinceMs: Date.now() - 3_600_000, untilMs: Date.now() + 3_600_000 });

test('names, comments and long arrays come back whole', { skip }, async () => {
  const name = 'evil\n|x "q" \'\\ \u0001\u001f é';
  const comment = 'c1\nJobId=9\t| State=RUNNING';
  const evil = await submit({ hold: true, name, comment });
  const tasks = Array.from({ length: 40 }, (_, i) => i * 3);
  const array = await submit({ hold: true, array: tasks.join(',') });
  const queue = await command.queue();
  const [one] = queue.filter((r) => r.jobId === evil);
  assert.deepEqual([one?.name, one?.comment, one?.reasonCode, one?.requeue], [name, comment, 'JobHeldUser', true]);
  assert.deepEqual(
    queue.filter((r) => r.jobId === array).flatMap((r) => r.tasks ?? []),
    tasks,
  );
  const later = await submit({ dependency: `afterok:${evil}` });
  await untilUp('the dependency', async () => (await rowsOf(later))[0]?.reasonCode === 'Dependency');
  for (const id of [evil, array, later]) await command.cancel(id, user);
  for (const id of [evil, array, later]) await untilState(id, 'CANCELLED');
});

test('ends are told apart, in the queue and in the history', { skip }, async () => {
  const three = await submit({ script: '#!/bin/sh\nexit 3\n' });
  const killed = await submit({ script: '#!/bin/sh\nkill -9 $$\n' });
  await untilState(three, 'FAILED');
  await untilState(killed, 'FAILED');
  assert.equal((await rowsOf(three))[0]?.exitCode, 3);
  assert.equal((await rowsOf(killed))[0]?.signal, 9);
  await untilUp('the history', async () => {
    const rows = await history();
    return [three, killed].every((id) => rows.some((r) => r.nativeId === id && r.state === 'FAILED'));
  });
  const rows = await history();
  assert.equal(rows.find((r) => r.nativeId === three)?.exitCode, 3);
  assert.equal(rows.find((r) => r.nativeId === killed)?.signal, 9);
});

test('a running job cannot be held, a waiting one takes no signal, and both are said at once', { skip }, async () => {
  const runs = await submit({ nodes: 2 });
  await untilState(runs, 'RUNNING');
  assert.deepEqual((await rowsOf(runs))[0]?.nodeNames.length, 2);
  assert.equal((await failure(command.hold(runs, user))).kind, 'invalid');
  assert.notEqual((await rowsOf(runs))[0]?.priority, 0);
  const held = await submit({ hold: true });
  assert.equal((await failure(command.cancel(held, user, 'USR1'))).kind, 'invalid');
  assert.equal((await failure(command.requeue(held, user))).kind, 'invalid');
  assert.equal((await failure(command.update(held, user, { qos: 'nosuch' }))).kind, 'unknown-tier');
  assert.equal((await failure(command.hold('999999', user))).kind, 'not-found');
  assert.equal(await command.job('999999'), undefined);
  await command.requeue(runs, user);
  await untilUp('the requeue', async () => {
    const [row] = await rowsOf(runs);
    return row?.state === 'PENDING' && row.restarts === 1;
  });
  await command.release(held, user);
  await untilState(held, 'RUNNING');
  await command.cancel(held, user);
  await command.cancel(runs, user);
  for (const id of [held, runs]) await untilState(id, 'CANCELLED');
});

test('a preempted job waits again with one restart, and only the history says preempted', { skip }, async () => {
  const victim = await submit({ nodes: 4, tasksPerNode: 4 });
  await untilState(victim, 'RUNNING');
  const urgent = await submit({ nodes: 4, tasksPerNode: 4, qos: 'urgent' });
  await untilState(urgent, 'RUNNING');
  await untilState(victim, 'PENDING');
  const [row] = await rowsOf(victim);
  assert.equal(row?.restarts, 1);
  // 22.05 forgets the time once the job waits again: only the history tells a preemption from a requeue.
  assert.equal(row?.preemptMs, undefined);
  await untilUp('the history', async () =>
    (await history()).some((r) => r.nativeId === victim && r.state === 'PREEMPTED'),
  );
  for (const id of [victim, urgent]) await command.cancel(id, user);
});

test('a dead part is named: slurmdbd, slurmctld, munged', { skip }, async () => {
  await slurm.kill('slurmdbd');
  assert.match((await failure(history())).message, /slurmdbd does not answer/);
  assert.equal((await command.diagnostics()).database, 'down');
  await command.queue();
  await slurm.restart();
  await slurm.kill('slurmctld');
  const away = [command.queue(), command.hold('1', user), command.cancel('1', user)].map(failure);
  for (const { kind, message } of await Promise.all(away)) {
    assert.equal(kind, 'unavailable');
    assert.match(message, /slurmctld does not answer/);
  }
  await slurm.restart();
  await slurm.kill('munged');
  const silent = await failure(command.queue());
  assert.equal(silent.kind, 'unavailable');
  assert.match(silent.message, /munged/);
  await slurm.restart();
});
