// The wrapper, run by a plain shell without Slurm: one attempt at a time, its effects once, streams claimed, limits in seconds kept.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { shellArguments, shellAssignments } from './shell-words.ts';

const WRAPPER = fileURLToPath(new URL('wrapper.sh', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'beamway-wrapper-'));
after(() => rmSync(place, { recursive: true, force: true }));
let jobs = 0;

interface Folder {
  readonly dir: string;
  file(...path: string[]): string;
  run(over?: Readonly<Record<string, string>>): ChildProcess;
}

function folder(
  script: string,
  how: { readonly args?: readonly string[]; readonly run?: string; readonly claims?: string } = {},
): Folder {
  const dir = join(place, `job-${++jobs}`);
  for (const name of ['control', 'attempts', 'work']) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, 'control', 'script'), script, { mode: 0o750 });
  writeFileSync(join(dir, 'control', 'command'), shellArguments(how.args ?? []));
  writeFileSync(join(dir, 'control', 'run'), how.run ?? '');
  writeFileSync(join(dir, 'control', 'fence'), '1 0\n');
  if (how.claims !== undefined) writeFileSync(join(dir, 'control', 'claims'), how.claims);
  return {
    dir,
    file: (...path) => readFileSync(join(dir, ...path), 'utf8'),
    run: (over = {}) =>
      spawn('/bin/sh', [WRAPPER], {
        env: { PATH: '/usr/bin:/bin', BEAMWAY_JOB_DIR: dir, BEAMWAY_SUBMISSION: '1', BEAMWAY_JOB_ID: 'job_1', ...over },
        stdio: ['ignore', 'ignore', 'pipe'],
        detached: true,
      }),
  };
}

const exit = async (child: ChildProcess): Promise<number | null> =>
  ((await once(child, 'close')) as [number | null])[0];

test('a job that ended by itself is not run again, however often Slurm starts it', async () => {
  const job = folder('#!/bin/sh\necho ran >> ran\nexit 5\n');
  assert.equal(await exit(job.run()), 5);
  assert.equal(await exit(job.run()), 5);
  assert.equal(job.file('work', 'ran'), 'ran\n');
  assert.match(job.file('attempts', '1', 'exit'), /^5 ended 0 /);
  assert.equal(existsSync(join(job.dir, 'attempts', '2')), false);
  writeFileSync(join(job.dir, 'control', 'fence'), '1 1\n');
  assert.equal(await exit(job.run()), 5, 'asked to run it again, it does');
  assert.equal(job.file('work', 'ran'), 'ran\nran\n');
});

test('a superseded submission does nothing', async () => {
  const job = folder('#!/bin/sh\ntouch ran\n');
  writeFileSync(join(job.dir, 'control', 'fence'), '2 0\n');
  assert.equal(await exit(job.run()), 76);
  assert.deepEqual(
    [existsSync(join(job.dir, 'work', 'ran')), existsSync(join(job.dir, 'attempts', '1'))],
    [false, false],
  );
  assert.equal(await exit(job.run({ BEAMWAY_SUBMISSION: '2' })), 0);
});

test('a second start waits for the first, and finds that it has ended', async () => {
  const job = folder('#!/bin/sh\necho ran >> ran\nwhile [ ! -e go ]; do sleep 0.02; done\n');
  const first = job.run();
  while (!existsSync(join(job.dir, 'work', 'ran'))) await new Promise((resolve) => setTimeout(resolve, 10));
  const second = job.run();
  writeFileSync(join(job.dir, 'work', 'go'), '');
  assert.deepEqual(await Promise.all([exit(first), exit(second)]), [0, 0]);
  assert.equal(job.file('work', 'ran'), 'ran\n');
});

test('an attempt that was signalled may run again, and is counted', async () => {
  const job = folder('#!/bin/sh\necho "$BEAMWAY_ATTEMPT" >> ran\n[ "$BEAMWAY_ATTEMPT" = 2 ] || sleep 600\n');
  const first = job.run();
  const wrote = (): boolean => existsSync(join(job.dir, 'work', 'ran')) && job.file('work', 'ran') === '1\n';
  while (!wrote()) await new Promise((resolve) => setTimeout(resolve, 10));
  // As Slurm does: every process of the job.
  process.kill(-(first.pid ?? 0), 'SIGTERM');
  await exit(first);
  assert.match(job.file('attempts', '1', 'exit'), /^143 signalled /);
  assert.equal(await exit(job.run()), 0);
  assert.equal(job.file('work', 'ran'), '1\n2\n');
});

test('hostile arguments and variables arrive as they are, and no variable reaches the wrapper itself', async () => {
  const args = ['$(touch pwned)', "it's", 'a\nb', '', '-n', 'Jürgen 測定'];
  const job = folder('#!/bin/sh\nprintf "%s|" "$@" "$TRAP"\n', { args });
  writeFileSync(
    join(job.dir, 'control', 'command'),
    `${shellAssignments({ TRAP: '`touch pwned`', PATH: '/nowhere', how: 'ended', n: '9' }, 'export ')}${shellArguments(args)}`,
  );
  assert.equal(await exit(job.run()), 0);
  assert.equal(job.file('attempts', '1', 'stdout'), `${[...args, '`touch pwned`'].join('|')}|`);
  assert.match(job.file('attempts', '1', 'exit'), /^0 ended 0 /);
  assert.equal(existsSync(join(job.dir, 'work', 'pwned')), false);
});

test('a limit in seconds is kept to the second, and said', async () => {
  const job = folder('#!/bin/sh\nsleep 600\n', { run: "limit='1'\n" });
  assert.equal(await exit(job.run()), 124);
  assert.match(job.file('attempts', '1', 'exit'), /^124 time-limit 0 /);
});

test('each task of an array has attempts of its own', async () => {
  const job = folder('#!/bin/sh\necho "task $SLURM_ARRAY_TASK_ID"\n');
  await Promise.all(['3', '4'].map((task) => exit(job.run({ SLURM_ARRAY_TASK_ID: task }))));
  assert.equal(job.file('attempts', 't3', '1', 'stdout'), 'task 3\n');
  assert.equal(job.file('attempts', 't4', '1', 'stdout'), 'task 4\n');
});

for (const program of ['curl', 'python3'] as const)
  test(`streams are claimed with ${program}, tried again while the node does not know them yet, into a file for the user alone`, {
    skip: existsSync(`/usr/bin/${program}`) ? false : `no /usr/bin/${program}`,
  }, async () => {
    const asked: unknown[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => {
        body += part.toString();
      });
      request.on('end', () => {
        asked.push(JSON.parse(body));
        response.statusCode = asked.length < 3 ? 404 : 200;
        response.end(asked.length < 3 ? '' : '{"endpoint":"tcp://127.0.0.1:1","password":"p\\"q"}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/claim`;
    const job = folder('#!/bin/sh\ncat "$BEAMWAY_STREAMS"\n', { claims: `frames ${url} secret-of-sixteen-or-more\n` });
    const tools = join(job.dir, 'bin');
    mkdirSync(tools);
    for (const tool of [
      'sh',
      'cat',
      'flock',
      'mkdir',
      'mv',
      'date',
      'tr',
      'tail',
      'sed',
      'sleep',
      'hostname',
      'grep',
      'timeout',
      program,
    ])
      for (const bin of ['/usr/bin', '/bin'])
        if (existsSync(join(bin, tool)) && !existsSync(join(tools, tool)))
          symlinkSync(join(bin, tool), join(tools, tool));
    assert.equal(await exit(job.run({ PATH: tools })), 0);
    server.close();
    assert.deepEqual(JSON.parse(job.file('attempts', '1', 'stdout')), {
      streams: { frames: { endpoint: 'tcp://127.0.0.1:1', password: 'p"q' } },
    });
    assert.deepEqual(asked[0], { claim: 'secret-of-sixteen-or-more', job: 'job_1', attempt: 1 });
    assert.equal(statSync(join(job.dir, 'attempts', '1', 'streams.json')).mode & 0o777, 0o600);
  });

test('a refused claim ends the attempt before the script, and says which stream', async () => {
  const server = createServer((_request, response) => void response.writeHead(410).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/claim`;
  const job = folder('#!/bin/sh\ntouch ran\n', { claims: `frames ${url} secret-of-sixteen-or-more\n` });
  const child = job.run();
  let said = '';
  child.stderr?.on('data', (part: Buffer) => {
    said += part.toString();
  });
  assert.equal(await exit(child), 74);
  server.close();
  assert.match(said, /stream frames: its node answered 410/);
  assert.match(job.file('attempts', '1', 'exit'), /^74 unattached /);
  assert.equal(existsSync(join(job.dir, 'work', 'ran')), false);
});
