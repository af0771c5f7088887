// A terminal in a running job of a real Slurm, from the command line in a real terminal to the step of the job's user: who may, what passes, how it ends, what the audit log says.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { spawn } from '@lydell/node-pty';
import { BeamwayProblem, BeamwayUnreachable, createClient } from '../../clients/typescript/src/client.ts';
import { openTerminal, type TerminalWish } from '../../clients/typescript/src/terminal.ts';
import { whyNoSlurm } from '../servers/slurm/packages.ts';
import { AGENT_USER, startAgent } from '../servers/slurm/start-agent.ts';
import { startSlurm } from '../servers/slurm/start-slurm.ts';
import { type ApiServer, type Bearer, fileScope, startApiServer } from './api-server.ts';

const SUDO = '/usr/bin/sudo';
const skip = whyNoSlurm() ?? (existsSync(SUDO) ? false : 'no sudo, by which the agent becomes the job’s user');
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const scope = fileScope();
let api: ApiServer;
let token: Bearer;
let running = '';

before(async () => {
  if (skip !== false) return;
  const place = mkdtempSync(join(tmpdir(), 'beamway-terminal-'));
  chmodSync(place, 0o755);
  scope.after(async () => rmSync(place, { recursive: true, force: true }));
  // As docs/operate/slurm.md says; sudo reads no other folder.
  const rules = `/etc/sudoers.d/beamway-test-${process.pid}`;
  scope.after(async () => rmSync(rules, { force: true }));
  writeFileSync(
    rules,
    `Defaults!/usr/bin/srun env_keep += "SLURM_CONF"\n${AGENT_USER} ALL=(bw-demo) NOPASSWD: /usr/bin/srun --overlap --jobid=* --ntasks=1 --quiet --pty *\n`,
    { mode: 0o440 },
  );
  const slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'lab', nodes: 2, operators: [AGENT_USER] });
  scope.after(() => slurm.stop());
  api = await startApiServer(scope, { slurmClusters: ['lab'], environmentsOn: { ace: 'lab' } });
  const { value: bearer } = await api.agent('lab');
  const agent = await startAgent({
    slurm,
    dir: join(place, 'agent'),
    cluster: 'lab',
    instance: 'terminal',
    link: { url: api.url, bearer },
    users: { demo: 'bw-demo' },
    settings: { become: [SUDO, '-n', '-u', '{user}', '--'] },
  });
  scope.after(() => agent.stop());
  token = await api.token({ environments: ['ace'] });
  running = await start();
});

async function until(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 40_000; !(await probe()); ) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const stateOf = async (id: string): Promise<unknown> =>
  (await api.ask(`/beamway/v1/jobs/${id}`, { bearer: token })).body['state'];

/** The node is this machine. Slurm finds the program's path; sudo and srun, before it, name it too. */
function sleeps(seconds: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      if (!/^\d+$/.test(pid)) return false;
      const [program = '', argument] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return program.endsWith('sleep') && argument === seconds;
    } catch {
      return false;
    }
  });
}

async function start(): Promise<string> {
  const body = { script: '#!/bin/sh\nexec sleep 600\n', timeLimitSeconds: 600 };
  const reply = await api.ask('/beamway/v1/jobs', { method: 'POST', bearer: token, body });
  assert.equal(reply.status, 201, reply.text);
  const id = String(reply.body['id']);
  await until('the job runs', async () => (await stateOf(id)) === 'running');
  return id;
}

const client = (bearer: Bearer = token) => createClient({ url: api.url, token: bearer.value });

async function opened(wish: Partial<TerminalWish> = {}, bearer: Bearer = token) {
  const parts: Uint8Array[] = [];
  const terminal = await openTerminal(client(bearer), {
    job: running,
    ...wish,
    onBytes: (bytes) => void parts.push(bytes),
  });
  return { ...terminal, text: () => Buffer.concat(parts).toString('utf8') };
}

test('beamway job exec is a terminal: the job’s user and number, the window’s size as it changes, the program’s exit code', {
  skip,
}, async () => {
  const env = { PATH: '/usr/bin:/bin', BEAMWAY_URL: api.url, BEAMWAY_TOKEN: token.value, HOME: '/nonexistent' };
  const cli = spawn(process.execPath, [MAIN, 'job', 'exec', running], { cols: 100, rows: 30, env, cwd: '/' });
  let seen = '';
  cli.onData((text) => {
    seen += text;
  });
  let code: number | undefined;
  cli.onExit(({ exitCode }) => {
    code = exitCode;
  });
  // As a person does: what is typed in the moment of a resize or of Ctrl-C may be gone (seen once in fourteen runs, between sudo, srun and the shell).
  const type = async (what: string, text: string, probe: () => boolean): Promise<void> => {
    for (const end = performance.now() + 40_000; !probe(); ) {
      assert.ok(performance.now() < end, `${what} in ${seen}`);
      cli.write(text);
      for (let i = 0; i < 60 && !probe(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  // The shell's echo of what is typed holds no `30 100`.
  await type('the first answer', 'echo "user $(id -un) size $(stty size) job $SLURM_JOB_ID"\r', () =>
    /user bw-demo size 30 100 job \d/.test(seen),
  );
  cli.resize(77, 22);
  await type('the other size', 'echo "now $(stty size)"\r', () => /now 22 77/.test(seen));
  // Ctrl-C is the job's.
  cli.write('sleep 300\r');
  await new Promise((resolve) => setTimeout(resolve, 300));
  cli.write('\u0003');
  await type('the end', 'exit 7\r', () => code !== undefined);
  assert.equal(code, 7);
});

test('a program gets its arguments as they are, without a shell; much output arrives whole, though nobody reads for a while', {
  skip,
}, async () => {
  const said = await opened({ program: '/usr/bin/printf', arguments: ['<%s>', '$(id) "x"', '', '測定'] });
  assert.equal(await said.exit, 0);
  assert.equal(said.text(), '<$(id) "x"><><測定>');
  const much = await opened({ program: 'seq', arguments: ['1', '400000'] });
  assert.equal(await much.exit, 0);
  const lines = much.text().split('\r\n');
  assert.deepEqual([lines.length, lines[0], lines[399_999]], [400_001, '1', '400000']);
});

test('whoever hangs up ends the program', { skip }, async () => {
  // A number that no other process of this machine sleeps.
  const seconds = String(100_000 + process.pid);
  const terminal = await opened({ program: 'sleep', arguments: [seconds] });
  await until('it runs', () => sleeps(seconds));
  terminal.close();
  await until('it is gone', () => !sleeps(seconds));
  await assert.rejects(terminal.exit, BeamwayUnreachable);
});

test('a revoked token’s terminal ends within seconds', { skip }, async () => {
  const other = await api.token({ environments: ['ace'] });
  const terminal = await opened({ program: 'sleep', arguments: ['500'] }, other);
  await api.server.revoke(other.id, 'test');
  await assert.rejects(terminal.exit, BeamwayUnreachable);
});

test('the end of the job is the end of its terminal, and there is none in a job that does not run', {
  skip,
}, async () => {
  const job = await start();
  const terminal = await opened({ job, program: 'sleep', arguments: ['500'] });
  assert.equal((await api.ask(`/beamway/v1/jobs/${job}`, { method: 'DELETE', bearer: token })).status, 200);
  assert.notEqual(await terminal.exit, 0);
  await until('it has ended', async () => (await stateOf(job)) === 'cancelled');
  const refused = (code: string) => (error: unknown) => error instanceof BeamwayProblem && error.code === code;
  await assert.rejects(opened({ job }), refused('job-ended'));
  const held = await api.ask('/beamway/v1/jobs', {
    method: 'POST',
    bearer: token,
    body: { script: '#!/bin/sh\n', timeLimitSeconds: 60, hold: true },
  });
  await assert.rejects(opened({ job: String(held.body['id']) }), refused('conflict'));
});

test('it needs a scope of its own, and the log says who was in which job, for how long, with which program', {
  skip,
}, async () => {
  const narrow = await api.token({ environments: ['ace'], scopes: ['job:read', 'job:control'] });
  const denied = await api.ask(`/beamway/v1/jobs/${running}/terminal`, { method: 'POST', bearer: narrow, body: {} });
  assert.equal(denied.status, 403);
  assert.match(denied.text, /job:attach/);
  const terminal = await opened({ program: '/bin/echo', arguments: ['a-secret'] });
  assert.equal(await terminal.exit, 0);
  const records = async () => {
    const reply = await api.ask('/beamway/v1/audit/records?project=demo&limit=200', { bearer: token });
    return (reply.body['records'] as Record<string, unknown>[]).filter((r) => r['resource'] === `job/${running}`);
  };
  await until('the end is recorded', async () =>
    (await records()).some((r) => r['action'] === 'job.terminal-ended' && JSON.stringify(r).includes('"exit":0')),
  );
  const text = JSON.stringify(await records());
  assert.match(text, /"program":"\/bin\/echo"/);
  assert.doesNotMatch(text, /a-secret/);
});
