import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import test, { type TestContext } from 'node:test';
import { PASSWORD, testRelay } from './relay-fixture.ts';

const PYTHON = '/usr/bin/python3';
const missing =
  spawnSync(PYTHON, ['-c', 'import zmq']).status === 0
    ? undefined
    : 'apt-get install --no-install-recommends python3-zmq';
// What a skip is worth is decided by the runner: where everything is required, an absent package fails the test.
const skip = missing !== undefined && process.env['BEAMWAY_REQUIRE_ALL'] !== '1' ? missing : false;

const PUSH = `
import hashlib, sys, zmq
url, password = sys.stdin.read().split()
context = zmq.Context()
socket = context.socket(zmq.PUSH)
socket.plain_username, socket.plain_password = b"producer", password.encode()
socket.connect(url)
digest = hashlib.sha1()
for number in range(500):
    frame = (b"%06d" % number) * (1 + (number * 97) % 20000)
    digest.update(frame)
    socket.send_multipart([b"%d" % number, frame])
print(digest.hexdigest(), flush=True)
socket.close(linger=-1)
context.term()
`;
const PULL = `
import hashlib, sys, time, zmq
url, password, kind = sys.stdin.read().split()
context = zmq.Context()
socket = context.socket(zmq.DEALER if kind == "DEALER" else zmq.PULL)
socket.rcvhwm = 5
socket.plain_username, socket.plain_password = b"consumer", password.encode()
socket.connect(url)
digest = hashlib.sha1()
for number in range(500):
    *tag, head, frame = socket.recv_multipart()
    assert int(head) == number, (head, number)
    digest.update(frame)
    if tag: socket.send(tag[0])
    if number % 100 == 0: time.sleep(0.05)
print(digest.hexdigest(), flush=True)
socket.close(linger=1000)
context.term()
`;

function python(t: TestContext, program: string, input: string): Promise<string> {
  const child = spawn(PYTHON, ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void output.push(chunk));
  child.stdin.end(input);
  return once(child, 'close').then(([code]) => {
    assert.equal(code, 0);
    return Buffer.concat(output).toString().trim();
  });
}

for (const [delivery, kind] of [
  ['at-most-once', 'PULL'],
  ['redeliver', 'DEALER'],
] as const) {
  test(`plain pyzmq programs stream through a ${delivery} relay by setting two PLAIN options`, { skip }, async (t) => {
    assert.equal(missing, undefined, `python3-zmq is required here: ${missing}`);
    const relay = await testRelay(t, { delivery, bufferBytes: 256 * 1024 });
    const got = python(t, PULL, `${relay.url} ${PASSWORD} ${kind}`);
    const sent = python(t, PUSH, `${relay.url} ${PASSWORD}`);
    assert.equal(await got, await sent);
    assert.equal(relay.counters().messagesOut, 500);
  });
}
