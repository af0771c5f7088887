// The surface of jobs over HTTP on a real Slurm, with the real agent and signer: arrays, dependencies, hold, signal, update, requeue, followed output, what the cluster says.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { issueAgentBearer } from '../../src/identity/index.ts';
import { unixUser } from '../servers/slurm/configure.ts';
import { whyNoSlurm } from '../servers/slurm/packages.ts';
import { startAgent } from '../servers/slurm/start-agent.ts';
import { startSlurm } from '../servers/slurm/start-slurm.ts';
import { type ApiServer, type Bearer, fileScope, type Reply, startApiServer } from './api-server.ts';

const CLUSTER = 'lab';
const JOBS = '/beamway/v1/jobs';
const skip = whyNoSlurm() ?? false;
const scope = fileScope();
let api: ApiServer;
let token: Bearer;

// No time limit of ours: what is cut short while Slurm's daemons start leaves them behind.
before(async () => {
  if (skip !== false) return;
  unixUser('root');
  const place = mkdtempSync(join(tmpdir(), 'beamway-slurm-surface-'));
  chmodSync(place, 0o755);
  scope.after(async () => rmSync(place, { recursive: true, force: true }));
  const dir = join(place, 'slurm');
  const slurm = await startSlurm({ dir, cluster: CLUSTER, nodes: 2, operators: ['beamway-slurm'] });
  scope.after(() => slurm.stop());
  api = await startApiServer(scope, { slurmClusters: [CLUSTER], environmentsOn: { ace: CLUSTER } });
  const { value } = await issueAgentBearer(api.server.issue, { cluster: CLUSTER, lifetimeSeconds: 3600, by: 'test' });
  const agent = await startAgent({
    slurm,
    dir: join(place, 'agent'),
    cluster: CLUSTER,
    instance: 'surface',
    link: { url: api.url, bearer: value },
    users: { demo: 'bw-demo' },
  });
  scope.after(() => agent.stop());
  token = await api.token();
  await until('the link', async () => {
    const nodes = await api.server.schedulers
      .get(CLUSTER)
      ?.nodes()
      .catch(() => undefined);
    return nodes !== undefined;
  });
});

/** Slurm's own intervals are seconds. */
async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 40_000; !(await probe()); ) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

type View = Record<string, unknown> & { readonly attempts: readonly Record<string, unknown>[] };

const ask = (path: string, body?: object): Promise<Reply> =>
  api.ask(`${JOBS}${path}`, { method: 'POST', bearer: token, ...(body === undefined ? {} : { body }) });
const show = async (id: string): Promise<View> => (await api.ask(`${JOBS}/${id}`, { bearer: token })).body as View;
const submit = async (text: string, more: object = {}): Promise<string> => {
  const reply = await ask('', { script: `#!/bin/sh\n${text}\n`, timeLimitSeconds: 300, ...more });
  assert.equal(reply.status, 201, reply.text);
  return String(reply.body['id']);
};
async function reaches(id: string, ...states: string[]): Promise<View> {
  await until(`${id} ${states}`, async () => states.includes(String((await show(id))['state'])));
  return show(id);
}
const outputOf = async (id: string, query = ''): Promise<unknown> =>
  (await api.ask(`${JOBS}/${id}/output${query}`, { bearer: token })).body['text'];

test('a held job is released; one that depends on it follows', { skip }, async () => {
  const first = await submit('echo first', { hold: true });
  const second = await submit('echo second', { dependsOn: [{ job: first, when: 'succeeded' }] });
  await reaches(first, 'held');
  await until('why it waits', async () => (await show(second))['reasonCode'] === 'Dependency');
  assert.equal((await ask(`/${first}/release`)).status, 200);
  await reaches(first, 'completed');
  await reaches(second, 'completed');
  assert.equal(await outputOf(second), 'second\n');
});

test('an array’s tasks have attempts and output of their own', { skip }, async () => {
  const id = await submit('echo "task $SLURM_ARRAY_TASK_ID"', { array: { first: 1, last: 3, atOnce: 2 } });
  const { tasks, attempts } = await reaches(id, 'completed');
  assert.equal((tasks as Record<string, number>)['completed'], 3);
  assert.deepEqual(
    attempts.map((a) => [a['task'], a['attempt'], a['outcome']]),
    [1, 2, 3].map((task) => [task, 1, 'completed']),
  );
  for (const task of [1, 2, 3]) assert.equal(await outputOf(id, `?task=${task}`), `task ${task}\n`);
});

test('a running job hears a signal, is changed, and what it writes is followed to its end', { skip }, async () => {
  const id = await submit('trap "echo heard; exit 3" USR1\necho begun — now\nwhile :; do sleep 0.2; done');
  await reaches(id, 'running');
  await until('it writes', async () => (await outputOf(id)) === 'begun — now\n');
  const following = api.ask(`${JOBS}/${id}/output/events`, { bearer: token });
  const updated = await ask(`/${id}/update`, { timeLimitSeconds: 240 });
  assert.deepEqual([updated.status, updated.body['timeLimitSeconds']], [200, 240], updated.text);
  assert.equal((await ask(`/${id}/hold`)).code, 'conflict');
  const signalled = await ask(`/${id}/signal`, { signal: 'USR1' });
  assert.equal(signalled.status, 200, signalled.text);
  const events = (await following).text;
  assert.match(events, /event: output\ndata: .*begun — now/);
  assert.match(events, /event: output\ndata: .*heard/);
  assert.match(events, /event: end\ndata: .*"exitCode":3/);
  await reaches(id, 'failed');
  assert.equal((await ask(`/${id}/requeue`)).code, 'job-ended');
});

test('a requeued job runs again', { skip }, async () => {
  const id = await submit('echo $SLURM_RESTART_COUNT\nsleep 60');
  await reaches(id, 'running');
  const requeued = await ask(`/${id}/requeue`);
  assert.equal(requeued.status, 200, requeued.text);
  await until('a second attempt', async () => (await show(id)).attempts.length === 2);
  await api.ask(`${JOBS}/${id}`, { method: 'DELETE', bearer: token });
  await reaches(id, 'cancelled');
});

test('an executable, a time to begin, and what Slurm refuses, in words', { skip }, async () => {
  const notBefore = new Date(Date.now() + 2000).toISOString();
  const reply = await ask('', {
    executable: '/bin/echo',
    arguments: ["it's", '$HOME'],
    notBefore,
    timeLimitSeconds: 60,
  });
  const { attempts } = await reaches(String(reply.body['id']), 'completed');
  assert.ok(Date.parse(String(attempts[0]?.['startedAt'])) >= Date.parse(notBefore) - 1000);
  assert.equal(await outputOf(String(reply.body['id'])), "it's $HOME\n");
  const wrong = await ask('', { executable: '/bin/true', partition: 'no-such' });
  assert.ok(wrong.status >= 400 && wrong.status < 500, wrong.text);
  assert.match(wrong.text, /partition/i);
});

test('what the cluster says is read', { skip }, async () => {
  const read = async (what: string) => {
    const { status, text, body } = await api.ask(`/beamway/v1/clusters/${CLUSTER}/${what}`, { bearer: token });
    assert.equal(status, 200, text);
    return body;
  };
  assert.equal(((await read('nodes'))['nodes'] as unknown[]).length, 2);
  assert.ok(((await read('partitions'))['partitions'] as unknown[]).length > 0);
  assert.deepEqual((await read('reservations'))['reservations'], []);
  assert.deepEqual((await read('foreign'))['jobs'], []);
  assert.match(String((await read('diagnostics'))['slurmVersion']), /^\d+\.\d+/);
  await until('its accounting', async () => ((await read('history?limit=1000'))['rows'] as unknown[]).length >= 3);
  const first = await read('history?limit=1');
  assert.notEqual(first['next'], null);
  const rows = (await read('history'))['rows'] as { job: string | null }[];
  assert.ok(rows.some((r) => r.job?.startsWith('job_') === true));
});
