// A Redis stream on a whole system: from a template to plain Redis clients, a job's own credential, revoking, the agent's death, and what is left when it is released.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '@redis/client';
import type { Result } from '../../clients/typescript/src/index.ts';
import { credentialFor, readyStream } from './libzmq.ts';
import { startBeamway, until } from './start-beamway.ts';

const skip = existsSync('/usr/bin/redis-server') ? false : 'no redis-server; Debian: apt install redis-server';
const beamway = skip === false ? await startBeamway({ after }) : undefined;

async function connect({ endpoint, username, password, authority }: Result<'stream.credential'>) {
  const { hostname: host, port } = new URL(endpoint);
  const tls = { tls: true, ca: authority ?? '', host, port: Number(port) } as const;
  const client = createClient({ username, password, socket: { ...tls, reconnectStrategy: false } });
  client.on('error', () => undefined);
  await client.connect();
  after(() => {
    if (client.isOpen) client.destroy();
  });
  return client;
}

/** A job with nothing but sh: RESP by hand over bash's /dev/tcp would be another shell's; python3 is Debian's. */
const JOB = `#!/usr/bin/python3
import json, os, socket, ssl
s = json.load(open(os.environ["BEAMWAY_STREAMS"]))["streams"]["steer"]
host, port = s["endpoint"].removeprefix("rediss://").rsplit(":", 1)
def words(*w): return b"*%d\\r\\n" % len(w) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(x), x) for x in (y.encode() for y in w))
c = ssl.create_default_context(cadata=s["authority"]).wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)
c.sendall(words("AUTH", s["username"], s["password"]) + words("XREAD", "BLOCK", "20000", "STREAMS", "frames", "0"))
got = b""
while b"hello job" not in got: got += c.recv(4096)
print("the job read it")
`;

test('producer, consumer and a job read what was put in; each of them by a credential of its own', {
  skip,
  timeout: 60_000,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const { id } = await readyStream(client, 'steering');
  const pro = await connect(await credentialFor(client, id, 'producer'));
  await pro.xAdd('frames', '*', { f: 'hello job' });
  const con = await connect(await credentialFor(client, id, 'consumer'));
  assert.deepEqual(
    (await con.xRange('frames', '-', '+'))?.map((e) => e?.message['f']),
    ['hello job'],
  );
  const job = await client.call('job.submit', {
    body: { script: JOB, timeLimitSeconds: 60, streams: [{ stream: id, name: 'steer', role: 'consumer' }] },
  });
  const ended = await until('the job has ended', async () => {
    const now = await client.call('job.show', { params: { id: job.id } });
    return ['completed', 'failed', 'cancelled', 'timed-out'].includes(now.state) && now;
  });
  const { text } = await client.call('job.output', { params: { id: job.id } });
  assert.deepEqual([ended.state, text], ['completed', 'the job read it\n']);
  const { endpoints } = await until('it is counted', async () => {
    const now = await client.call('stream.show', { params: { id } });
    return (now.counters?.messagesIn ?? 0) === 1 && (now.counters?.bytesOut ?? 0) > 0 && now;
  });
  assert.match(endpoints['producer'] ?? '', /^rediss:\/\//);
  await client.call('stream.delete', { params: { id } });
});

test('a revoked token’s connections are cut; the stream’s data survive the agent’s SIGKILL; a released stream leaves nothing', {
  skip,
  timeout: 60_000,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const guest = await beamway.mint();
  const { id } = await readyStream(client, 'steering');
  const theirs = await connect(await credentialFor(guest.client, id, 'producer'));
  const cut = once(theirs, 'error');
  await beamway.admin().call('token.revoke', { params: { id: guest.id } });
  await cut;
  const credential = await credentialFor(client, id, 'producer');
  const pro = await connect(credential);
  await pro.xAdd('frames', '*', { f: 'kept' });
  process.kill(beamway.node().pid, 'SIGKILL');
  const again = await until('the node is back', () => connect(credential).catch(() => undefined));
  assert.equal(await again.xLen('frames'), 1);
  await client.call('stream.delete', { params: { id } });
  const folder = join(beamway.state, 'nodes', beamway.node().name, 'redis');
  await until('it is gone', async () => {
    const { state } = await client.call('stream.show', { params: { id }, query: { waitSeconds: 5 } });
    return state === 'released';
  });
  assert.deepEqual(readdirSync(folder), [], 'its folder is gone');
});
