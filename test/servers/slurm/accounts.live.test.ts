// A second start on kept state: tiers and nodes that the facility has changed since are what Slurm then has.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { whyNoSlurm } from './packages.ts';
import { type SlurmOptions, type SlurmServer, startSlurm } from './start-slurm.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-slurm-'));
chmodSync(place, 0o755);
let server: SlurmServer | undefined;
after(async () => {
  await server?.stop();
  rmSync(place, { recursive: true, force: true });
});

const start = async (more: Pick<SlurmOptions, 'nodes' | 'tiers'>): Promise<SlurmServer> => {
  await server?.stop({ purge: false });
  server = await startSlurm({ dir: join(place, 'kept'), cluster: 'kept', ...more });
  return server;
};

const tiersOf = async (slurm: SlurmServer): Promise<readonly string[]> =>
  (await slurm.command('/usr/bin/sacctmgr', '-nP', 'list', 'qos', 'format=name,priority,preempt'))
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('normal|'))
    .sort();

test('tiers changed and a node added between two starts are in force; what a tier no longer preempts is gone', {
  skip: whyNoSlurm() ?? false,
}, async () => {
  const first = await start({
    nodes: 1,
    tiers: [
      { name: 'batch', priority: 100, preempts: [] },
      { name: 'interactive', priority: 500, preempts: ['batch'] },
      // Not in the order in which Slurm lists them.
      { name: 'urgent', priority: 1000, preempts: ['interactive', 'batch'] },
    ],
  });
  assert.deepEqual(await tiersOf(first), ['batch|100|', 'interactive|500|batch', 'urgent|1000|batch,interactive']);
  const second = await start({
    nodes: 2,
    tiers: [
      { name: 'batch', priority: 100, preempts: [] },
      { name: 'interactive', priority: 500, preempts: [] },
      { name: 'urgent', priority: 2000, preempts: ['batch'] },
    ],
  });
  assert.deepEqual(await tiersOf(second), ['batch|100|', 'interactive|500|', 'urgent|2000|batch']);
  assert.equal((await second.command('/usr/bin/sinfo', '-h', '-o', '%D', '-p', 'batch')).trim(), '2');
  const third = await start({ nodes: 1 });
  assert.equal((await third.command('/usr/bin/sinfo', '-h', '-o', '%D', '-p', 'batch')).trim(), '1');
});
