// The signer as a process of its own user, against a real Slurm: slurmrestd takes its tokens for who is listed, and it refuses to be root or slurm.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { unixUser } from '../../../test/servers/slurm/configure.ts';
import { whyNoSlurm } from '../../../test/servers/slurm/packages.ts';
import { type SlurmServer, startSlurm } from '../../../test/servers/slurm/start-slurm.ts';
import { systemClock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';
import { signerClient } from './signer-client.ts';

const skip = whyNoSlurm() ?? false;
const NAME = 'beamway-signer';
const MAIN = join(import.meta.dirname, '..', '..', 'slurm-signer-main.ts');
const place = mkdtempSync(join(tmpdir(), 'beamway-signer-live-'));
chmodSync(place, 0o755);
const made: { slurm?: SlurmServer; process?: ChildProcess; config: string; socket: string } = {
  config: '',
  socket: '',
};

before(async () => {
  if (skip !== false) return;
  try {
    unixUser(NAME);
  } catch {
    execFileSync('/usr/sbin/useradd', ['-r', '-M', '-s', '/usr/sbin/nologin', '-d', '/nonexistent', NAME]);
  }
  made.slurm = await startSlurm({ dir: join(place, 'slurm'), cluster: 'signed', nodes: 1 });
  const { uid, gid } = unixUser(NAME);
  const home = join(place, 'signer');
  mkdirSync(home, { mode: 0o750 });
  chownSync(home, uid, gid);
  const keyFile = join(home, 'jwt_hs256.key');
  copyFileSync(made.slurm.jwtKeyFile, keyFile);
  chownSync(keyFile, uid, gid);
  chmodSync(keyFile, 0o400);
  made.socket = join(home, 'socket');
  made.config = join(place, 'signer.yaml');
  writeFileSync(made.config, JSON.stringify({ socket: made.socket, keyFile, users: ['bw-demo', 'root', 'slurm'] }));
});
after(async () => {
  if (made.process?.exitCode === null) {
    made.process.kill('SIGKILL');
    await once(made.process, 'close');
  }
  await made.slurm?.stop();
  rmSync(place, { recursive: true, force: true });
});

const env = { PATH: '/usr/bin:/bin' };
const refusal = (user?: string): string => {
  const given = JSON.stringify({ config: made.config, ...(user === undefined ? {} : { user }) });
  const ran = spawnSync(process.execPath, [MAIN, given], { encoding: 'utf8', env });
  assert.notEqual(ran.status, 0);
  return ran.stderr;
};

test('it refuses to run as root or as slurm, and with a key that others may read', { skip }, () => {
  assert.match(refusal(), /does not run as root/);
  assert.match(refusal('slurm'), /belongs to user|does not run as slurm/);
  const key = join(place, 'signer', 'jwt_hs256.key');
  chmodSync(key, 0o440);
  assert.match(refusal(NAME), /nobody but its owner/);
  chmodSync(key, 0o400);
});

test('slurmrestd takes its token for a listed user and for nobody else; root and slurm get none even from the list', {
  skip,
}, async () => {
  const { slurm } = made;
  assert.ok(slurm !== undefined);
  const child = spawn(process.execPath, [MAIN, JSON.stringify({ config: made.config, user: NAME })], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  made.process = child;
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    log += part;
  });
  const [ready] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal((JSON.parse(ready.toString()) as { ready: boolean }).ready, true);
  const { token } = signerClient(made.socket, systemClock);
  const demo = await token('bw-demo');
  const jobs = (user: string): Promise<Response> =>
    fetch(`${slurm.restUrl}/slurm/v0.0.38/jobs`, {
      headers: { 'X-SLURM-USER-NAME': user, 'X-SLURM-USER-TOKEN': demo },
    });
  const own = await jobs('bw-demo');
  assert.equal(own.status, 200);
  assert.deepEqual(((await own.json()) as { errors: unknown[] }).errors, []);
  for (const other of ['root', 'slurm', 'bw-beamtime']) {
    const answer = await jobs(other);
    assert.ok(answer.status >= 400, `${other}: ${answer.status}`);
    await answer.body?.cancel();
  }
  for (const user of ['root', 'slurm', 'bw-beamtime', 'no-such-user'])
    await assert.rejects(token(user), (e: unknown) => e instanceof SlurmFailure && e.kind === 'refused');
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const [code] = (await closed) as [number | null];
  assert.equal(code, 0);
  assert.ok(log.includes('bw-demo') && !log.includes(demo.split('.')[2] ?? 'never'));
  await assert.rejects(
    signerClient(made.socket, systemClock).token('bw-demo'),
    (e: unknown) => e instanceof SlurmFailure && e.kind === 'unavailable',
  );
});
