// Submit once, on a real Slurm with the real agent and signer: whoever is killed while jobs are being submitted, each key is one known job whose effects happened once, or it is told lost.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { whyNoSlurm } from '../servers/slurm/packages.ts';
import { startAgent } from '../servers/slurm/start-agent.ts';
import { startSlurm } from '../servers/slurm/start-slurm.ts';
import { type Bearer, fileScope, startApiServer } from './api-server.ts';

const skip = whyNoSlurm() ?? false;
const scope = fileScope();
const JOBS = 40;
const PATIENCE_MS = 90_000;
const ENDED = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'];

test('slurmctld, slurmdbd, slurmrestd and the agent are killed while 40 jobs are submitted: no job is doubled, none is silently lost', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'beamway-kill-'));
  chmodSync(place, 0o755);
  scope.after(async () => rmSync(place, { recursive: true, force: true }));
  const slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'lab', nodes: 4, operators: ['beamway-slurm'] });
  scope.after(() => slurm.stop());
  const api = await startApiServer(scope, { slurmClusters: ['lab'], slurmEnvironments: { ace: 'lab' } });
  const bearer = await api.agent('lab');
  const agent = await startAgent({
    slurm,
    dir: join(place, 'agent'),
    cluster: 'lab',
    instance: 'kill',
    link: { url: api.url, bearer: bearer.value },
    users: { demo: 'bw-demo' },
  });
  scope.after(() => agent.stop());
  const marks = join(place, 'marks');
  mkdirSync(marks);
  chmodSync(marks, 0o777);
  const token = await api.token({ environments: ['ace'] });

  const submit = async (i: number): Promise<string> => {
    const body = {
      tier: 'batch',
      script: `#!/bin/sh\necho ran >> "$1"\n`,
      arguments: [join(marks, String(i))],
      timeLimitSeconds: 60,
    };
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const reply = await api.ask('/beamway/v1/jobs', { method: 'POST', bearer: token, body, key: `key-${i}` });
      if (reply.status === 201) {
        const id = String(reply.body['id']);
        assert.equal((await api.ask(`/beamway/v1/jobs/${id}`, { bearer: token })).status, 200, 'visible at once');
        return id;
      }
      assert.ok(performance.now() < until, `${reply.status} ${reply.text}`);
      await pause(200);
    }
  };
  const kills = async (): Promise<void> => {
    for (const victim of ['slurmctld', 'agent', 'slurmrestd', 'slurmctld', 'slurmdbd', 'agent']) {
      await pause(700);
      if (victim === 'agent') {
        await agent.kill('SIGKILL');
        await pause(300);
        await agent.start();
      } else {
        await slurm.kill(victim);
        await pause(500);
        await slurm.restart();
      }
    }
  };
  const killing = kills();
  const ids: string[] = [];
  const loop = async (from: number): Promise<void> => {
    for (let i = from; i < JOBS; i += 4) {
      ids[i] = await submit(i);
      await pause(300);
    }
  };
  await Promise.all([0, 1, 2, 3].map(loop));
  await killing;
  for (let i = 0; i < JOBS; i++) assert.equal(await submit(i), ids[i], 'the same key is the same job afterwards too');
  assert.equal(new Set(ids).size, JOBS);

  const states = await allEnded(api, { token, ids });
  const lines = (i: number): number => {
    try {
      return readFileSync(join(marks, String(i)), 'utf8').split('\n').length - 1;
    } catch {
      return 0;
    }
  };
  const lost = states.filter((s) => s === 'lost').length;
  for (const [i, state] of states.entries()) {
    if (state === 'lost') assert.ok(lines(i) <= 1, `job ${i} is lost and ran ${lines(i)} times`);
    else assert.deepEqual([state, lines(i)], ['completed', 1], `job ${i}`);
  }
  t.diagnostic(`${JOBS - lost} completed with one effect each, ${lost} told lost`);
});

async function allEnded(
  api: Awaited<ReturnType<typeof startApiServer>>,
  { token, ids }: { readonly token: Bearer; readonly ids: readonly string[] },
): Promise<string[]> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const jobs = await Promise.all(ids.map((id) => api.ask(`/beamway/v1/jobs/${id}`, { bearer: token })));
    const open = jobs.filter((j) => !ENDED.includes(String(j.body['state'])));
    if (open.length === 0) return jobs.map((j) => String(j.body['state']));
    assert.ok(performance.now() < until, `still open: ${open.map((j) => j.text).join('\n')}`);
    await pause(500);
  }
}
