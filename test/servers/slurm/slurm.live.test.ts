// The test's own Slurm: two clusters side by side run real jobs as the project's user, urgent preempts batch, a restart keeps what was queued.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { untilUp } from './daemon.ts';
import { whyNoSlurm } from './packages.ts';
import { type SlurmServer, startSlurm } from './start-slurm.ts';

const skip = whyNoSlurm() ?? false;
const place = mkdtempSync(join(tmpdir(), 'beamway-slurm-'));
chmodSync(place, 0o755);
const started: SlurmServer[] = [];
after(async () => {
  for (const server of started) await server.stop();
  rmSync(place, { recursive: true, force: true });
});

const state = async (s: SlurmServer, id: string): Promise<string> =>
  (await s.command('/usr/bin/squeue', '-h', '-o', '%T', '-j', id).catch(() => '')).trim();

const submit = async (s: SlurmServer, qos: string, seconds: number): Promise<string> =>
  (
    await s.command(
      '/usr/bin/sbatch',
      ...[
        '--parsable',
        '--uid=bw-demo',
        '--gid=bw-demo',
        '--account=demo',
        `--qos=${qos}`,
        '-N8',
        '--ntasks-per-node=4',
        '-t',
        '5',
      ],
      ...['-D', join(s.dir, 'home', 'bw-demo'), '-o', '/dev/null', '--wrap', `sleep ${seconds}`],
    )
  )
    .trim()
    .split(';')[0] ?? '';

test('two whole clusters come up side by side; urgent preempts batch on the one, the other stays idle', {
  skip,
}, async () => {
  const one = await startSlurm({ dir: join(place, 'one'), cluster: 'one' });
  started.push(one);
  const two = await startSlurm({ dir: join(place, 'two'), cluster: 'two', nodes: 2 });
  started.push(two);
  const victim = await submit(one, 'batch', 600);
  await untilUp('the victim', async () => (await state(one, victim)) === 'RUNNING');
  const urgent = await submit(one, 'urgent', 600);
  await untilUp('the urgent job', async () => (await state(one, urgent)) === 'RUNNING');
  assert.equal(await state(one, victim), 'PENDING');
  assert.equal((await two.command('/usr/bin/squeue', '-h')).trim(), '');

  await one.kill('slurmctld', 'SIGTERM');
  assert.equal(one.pid('slurmctld'), undefined);
  const others = one.daemons.filter((d) => d !== 'slurmctld').map((d) => one.pid(d));
  await one.restart();
  assert.deepEqual(
    one.daemons.filter((d) => d !== 'slurmctld').map((d) => one.pid(d)),
    others,
    'only what was dead',
  );
  assert.equal(await state(one, urgent), 'RUNNING');
  assert.equal(await state(one, victim), 'PENDING');
});
