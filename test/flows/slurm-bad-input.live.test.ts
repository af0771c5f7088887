// Bad input and bad state on a real Slurm with the real agent and signer: a typed problem each, nothing left in Slurm's queue or in the folder of jobs, and the next good job runs.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { whyNoSlurm } from '../servers/slurm/packages.ts';
import { startAgent, type TestAgent } from '../servers/slurm/start-agent.ts';
import { type SlurmServer, startSlurm } from '../servers/slurm/start-slurm.ts';
import { type ApiServer, type Bearer, fileScope, type Reply, startApiServer } from './api-server.ts';

const JOBS = '/beamway/v1/jobs';
const SIGNER = 'slurm-signer-main.ts';
const skip = whyNoSlurm() ?? false;
const scope = fileScope();
let slurm: SlurmServer;
let api: ApiServer;
let agent: TestAgent;
let token: Bearer;

// No time limit of ours: what is cut short while Slurm's daemons start leaves them behind.
before(async () => {
  if (skip !== false) return;
  const place = mkdtempSync(join(tmpdir(), 'beamway-slurm-bad-'));
  chmodSync(place, 0o755);
  scope.after(async () => rmSync(place, { recursive: true, force: true }));
  slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'lab', nodes: 2, operators: ['beamway-slurm'] });
  scope.after(() => slurm.stop());
  api = await startApiServer(scope, { slurmClusters: ['lab'], slurmEnvironments: { ace: 'lab' } });
  const { value } = await api.agent('lab');
  agent = await startAgent({
    slurm,
    dir: join(place, 'agent'),
    cluster: 'lab',
    instance: 'bad',
    link: { url: api.url, bearer: value },
    users: { demo: 'bw-demo', beamtime: 'bw-beamtime' },
  });
  scope.after(() => agent.stop());
  token = await api.token({ environments: ['ace'] });
  await until('the link', async () => {
    const nodes = await api.server.schedulers
      .get('lab')
      ?.nodes()
      .catch(() => undefined);
    return nodes !== undefined;
  });
});

async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 40_000; !(await probe()); ) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const GOOD = { script: '#!/bin/sh\necho good\n', timeLimitSeconds: 60 };
const submit = (more: object = {}): Promise<Reply> =>
  api.ask(JOBS, { method: 'POST', bearer: token, body: { ...GOOD, ...more } });

async function goodJobRuns(): Promise<void> {
  const reply = await submit();
  assert.equal(reply.status, 201, reply.text);
  await completes(String(reply.body['id']));
}

async function completes(id: string): Promise<void> {
  await until(`${id} completes`, async () => {
    const { body } = await api.ask(`${JOBS}/${id}`, { bearer: token });
    assert.ok(!['failed', 'lost', 'cancelled'].includes(String(body['state'])), JSON.stringify(body));
    return body['state'] === 'completed';
  });
}

/** Slurm's own numbers of what waits or runs, and the folders of jobs that there are. */
async function traces(): Promise<{ readonly queue: string; readonly folders: readonly string[] }> {
  const queue = (await slurm.command('/usr/bin/squeue', '-h', '-t', 'PD,R,CG,S', '-o', '%A')).trim();
  const folders = readdirSync(agent.jobsRoot, { recursive: true, encoding: 'utf8' }).filter((f) =>
    /^[^/]+\/job_[a-z0-9]+$/.test(f),
  );
  return { queue, folders: folders.sort() };
}

/** Our row is the promise: the job is known, Slurm has nothing of it yet, and it is handed over when that can be done. */
function assertWaits({ status, text, body }: Reply): void {
  assert.deepEqual([status, body['state'], body['nativeId']], [201, 'accepted', null], text);
}

interface Bad {
  readonly what: string;
  readonly body: () => object;
  readonly code: string;
}

/** The agent, of the user's group, can look into the root; what it may not enter it takes as it is written (job-paths.ts). */
const link = (): string => {
  chmodSync(agent.rootOf('demo'), 0o750);
  const path = join(agent.rootOf('demo'), 'way-out');
  rmSync(path, { force: true });
  symlinkSync('/etc', path);
  return path;
};
const variables = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`V${i}`, 'x']));

const BAD: readonly Bad[] = [
  {
    what: 'a script of 10 MiB',
    body: () => ({ script: `#!/bin/sh\n${'#'.repeat(10 << 20)}` }),
    code: 'body-too-large',
  },
  { what: 'a script with NUL', body: () => ({ script: '#!/bin/sh\necho \0\n' }), code: 'invalid-request' },
  { what: 'CRLF after the interpreter', body: () => ({ script: '#!/bin/sh\r\n' }), code: 'invalid-request' },
  { what: 'an argument of 1 MiB', body: () => ({ arguments: ['x'.repeat(1 << 20)] }), code: 'body-too-large' },
  { what: 'no time', body: () => ({ timeLimitSeconds: 0 }), code: 'invalid-request' },
  { what: 'a year and a second', body: () => ({ timeLimitSeconds: 31_536_001 }), code: 'invalid-request' },
  { what: 'more nodes than there are', body: () => ({ nodes: 3 }), code: 'job-too-large' },
  { what: 'an unknown partition', body: () => ({ partition: 'nowhere' }), code: 'invalid-request' },
  { what: 'an unknown reservation', body: () => ({ reservation: 'nobody' }), code: 'invalid-request' },
  { what: 'unknown generic resources', body: () => ({ gres: 'warp:1' }), code: 'invalid-request' },
  { what: 'an unknown feature', body: () => ({ constraint: 'warp' }), code: 'invalid-request' },
  { what: 'a path through a symlink', body: () => ({ workDir: link() }), code: 'invalid-request' },
  { what: 'a path outside the roots', body: () => ({ workDir: '/etc' }), code: 'invalid-request' },
];

for (const { what, body, code } of BAD)
  test(`${what}: ${code}, and nothing is left`, { skip }, async () => {
    const earlier = await traces();
    const reply = await submit(body());
    assert.equal(reply.code, code, reply.text.slice(0, 500));
    assert.equal(reply.headers.get('content-type')?.split(';')[0], 'application/problem+json');
    assert.deepEqual(await traces(), earlier);
  });

test('a dependency on another project’s job is told as one on no job', { skip }, async () => {
  const other = await api.token({ project: 'beamtime', environments: ['ace'] });
  const body = { ...GOOD, hold: true };
  const theirs = await api.ask(JOBS, { method: 'POST', bearer: other, body });
  assert.equal(theirs.status, 201, theirs.text);
  const id = String(theirs.body['id']);
  const earlier = await traces();
  const reply = await submit({ dependsOn: [{ job: id, when: 'ended' }] });
  assert.equal(reply.code, 'invalid-request', reply.text);
  assert.match(reply.text, new RegExp(`project demo has no job ${id} on lab`));
  assert.deepEqual(await traces(), earlier);
  assert.ok((await api.ask(`${JOBS}/${id}`, { method: 'DELETE', bearer: other })).status < 300);
  await until('its queue is empty', async () => (await traces()).queue === '');
});

test('10,000 variables reach the job', { skip }, async () => {
  const reply = await submit({ script: '#!/bin/sh\n[ "$V0$V9999" = xx ]\n', variables: variables(10_000) });
  assert.equal(reply.status, 201, reply.text);
  await completes(String(reply.body['id']));
});

test('a jobs folder on a full disk: the job is kept, nothing reaches Slurm, and it runs once there is room', {
  skip,
}, async (t) => {
  const theirs = await api.token({ project: 'beamtime', environments: ['ace'] });
  const folder = join(agent.jobsRoot, 'beamtime');
  const { uid, gid, mode } = statSync(folder);
  const options = `size=4k,nr_inodes=2,uid=${uid},gid=${gid},mode=${(mode & 0o7777).toString(8)}`;
  if (spawnSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status !== 0)
    return t.skip('nothing can be mounted here');
  const body = { ...GOOD };
  const ask = (): Promise<Reply> => api.ask(JOBS, { method: 'POST', bearer: theirs, body, key: 'disk-full' });
  const { queue } = await traces();
  try {
    const reply = await ask();
    assertWaits(reply);
    assert.equal((await traces()).queue, queue);
  } finally {
    assert.equal(spawnSync('/usr/bin/umount', ['-l', folder]).status, 0);
  }
  const again = await ask();
  assert.equal(again.status, 201, again.text);
  await until('it completes', async () => {
    const { body: job } = await api.ask(`${JOBS}/${String(again.body['id'])}`, { bearer: theirs });
    return job['state'] === 'completed';
  });
});

test('after all of that a good job runs', { skip }, goodJobRuns);

test('slurmrestd is killed: a job submitted meanwhile completes under its key once it is back', { skip }, async () => {
  await slurm.kill('slurmrestd');
  const body = { ...GOOD };
  const first = await api.ask(JOBS, { method: 'POST', bearer: token, body, key: 'rest-dead' });
  if (first.status !== 201) assert.equal(first.code, 'unavailable', first.text);
  await slurm.restart();
  await until('it is accepted', async () => {
    const again = await api.ask(JOBS, { method: 'POST', bearer: token, body, key: 'rest-dead' });
    if (again.status === 201) await completes(String(again.body['id']));
    return again.status === 201;
  });
});

test('munged is killed: a job submitted meanwhile completes under its key once it is back', { skip }, async () => {
  await slurm.kill('munged');
  const first = await api.ask(JOBS, { method: 'POST', bearer: token, body: GOOD, key: 'munge-dead' });
  if (first.status !== 201) assert.equal(first.code, 'unavailable', first.text);
  await slurm.restart();
  await until('it is accepted', async () => {
    const again = await api.ask(JOBS, { method: 'POST', bearer: token, body: GOOD, key: 'munge-dead' });
    if (again.status === 201) await completes(String(again.body['id']));
    return again.status === 201;
  });
});

test('the signer is killed: a job is kept and none reaches Slurm; once it is back they run', {
  skip,
}, async () => {
  const dir = join(agent.jobsRoot, '..');
  const first = signerPid(dir);
  process.kill(first, 'SIGKILL');
  await until(
    'the signer is dead',
    async () => !existsSync(`/proc/${first}/cmdline`) || readFileSync(`/proc/${first}/cmdline`, 'utf8') === '',
  );
  // Tokens of the last minute are remembered by the agent: a new one has none.
  await agent.kill('SIGKILL');
  await agent.start();
  await until(
    'the link',
    async () =>
      (await api.server.schedulers
        .get('lab')
        ?.nodes()
        .catch(() => undefined)) !== undefined,
  );
  const { queue } = await traces();
  const keyed = (): Promise<Reply> => api.ask(JOBS, { method: 'POST', bearer: token, body: GOOD, key: 'signer-dead' });
  const dead = await keyed();
  assertWaits(dead);
  assert.equal((await traces()).queue, queue);
  const signer = await beginSigner(dir);
  scope.after(() => endSigner(signer));
  await goodJobRuns();
  const late = await keyed();
  assert.equal(late.status, 201, late.text);
  await completes(String(late.body['id']));
});

/** By its settings: they lie in this test's folder. */
function signerPid(dir: string): number {
  const found = readdirSync('/proc').find((pid) => {
    try {
      const command = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
      return command.includes(SIGNER) && command.includes(join(dir, 'signer', 'signer.yaml'));
    } catch {
      return false;
    }
  });
  assert.ok(found !== undefined, 'the signer runs');
  return Number(found);
}

async function beginSigner(dir: string): Promise<ChildProcess> {
  const argument = { config: join(dir, 'signer', 'signer.yaml'), user: 'beamway-signer', group: 'beamway-slurm' };
  const entry = fileURLToPath(new URL(`../../src/${SIGNER}`, import.meta.url));
  const child = spawn(process.execPath, [entry, JSON.stringify(argument)], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
  });
  assert.ok(child.stdout !== null);
  await once(child.stdout, 'data');
  return child;
}

async function endSigner(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}
