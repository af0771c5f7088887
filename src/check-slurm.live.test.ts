// `beamway slurm check` against a real Slurm: what the controller prints and its slurm.conf give the same findings; a dead controller is exit 5.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { whyNoSlurm } from '../test/servers/slurm/packages.ts';
import { type SlurmServer, startSlurm } from '../test/servers/slurm/start-slurm.ts';
import type { CheckReport } from './slurm/check/index.ts';

const skip = whyNoSlurm() ?? false;
const place = mkdtempSync(join(tmpdir(), 'beamway-check-'));
chmodSync(place, 0o755);
const started: SlurmServer[] = [];
before(async () => {
  if (skip === false) started.push(await startSlurm({ dir: join(place, 'slurm'), cluster: 'checked', nodes: 1 }));
});
after(async () => {
  for (const server of started) await server.stop();
  rmSync(place, { recursive: true, force: true });
});

function beamway(args: readonly string[], conf: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = join(import.meta.dirname, 'main.ts');
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [main, 'slurm', 'check', ...args],
      { env: { PATH: '/usr/bin:/bin', SLURM_CONF: conf } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
const findings = (stdout: string): readonly string[] =>
  (JSON.parse(stdout) as CheckReport).findings.map((f) => `${f.severity} ${f.id}: ${f.found}`);

test('the controller, and the same site from its files', { skip }, async () => {
  const [slurm] = started;
  assert.ok(slurm !== undefined);
  const live = await beamway(['--json', '--rest', slurm.restUrl], slurm.conf);
  assert.equal(live.code, 1, live.stderr);
  const expected = ['risk proctrack: ProctrackType=proctrack/linuxproc', 'note max-array: MaxArraySize=1001'];
  const gate = 'note window-gate: SLURM_VERSION=22.05.8';
  assert.deepEqual(
    findings(live.stdout).filter((f) => f !== gate),
    expected,
  );
  assert.deepEqual((JSON.parse(live.stdout) as CheckReport).unseen, []);

  const qos = join(place, 'qos');
  writeFileSync(qos, await slurm.command('/usr/bin/sacctmgr', '-P', 'show', 'qos'));
  const file = await beamway(['--json', '--slurm-conf', slurm.conf, '--qos', qos], '/nonexistent');
  assert.deepEqual(findings(file.stdout), expected);
  const text = await beamway([], slurm.conf);
  assert.match(text.stdout, /^controller of checked\n\nrisk {4}proctrack/);
});

test('a key that all may read and a slurmrestd that is away are risks', { skip }, async () => {
  const [slurm] = started;
  assert.ok(slurm !== undefined);
  chmodSync(slurm.jwtKeyFile, 0o644);
  const { stdout } = await beamway(['--json', '--rest', 'http://127.0.0.1:1'], slurm.conf);
  chmodSync(slurm.jwtKeyFile, 0o600);
  const lines = findings(stdout);
  assert.ok(lines.includes('risk jwt-key: mode 0644'), lines.join());
  assert.ok(
    lines.some((l) => l.startsWith('risk rest: http://127.0.0.1:1')),
    lines.join(),
  );
});

test('a controller that is down is exit 5, a file that is not there exit 2', { skip }, async () => {
  const [slurm] = started;
  assert.ok(slurm !== undefined);
  assert.equal((await beamway(['--slurm-conf', join(place, 'none')], slurm.conf)).code, 2);
  await slurm.kill('slurmctld', 'SIGTERM');
  const down = await beamway([], slurm.conf);
  assert.equal(down.code, 5);
  assert.match(down.stderr, /scontrol/);
});
