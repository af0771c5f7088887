// Streams end to end on a whole system: real libzmq programs, real credentials, everything through the front door.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { Pull, Push } from 'zeromq';
import {
  admitted,
  type Credential,
  connectedCredentials,
  credentialFor,
  dealWith,
  digestOf,
  eventOf,
  frameOf,
  numberOf,
  pullFrom,
  pushTo,
  readyStream,
} from './libzmq.ts';
import { holdingsOf, startBeamway, until } from './start-beamway.ts';

const beamway = await startBeamway({ after });
const { client } = await beamway.mint();
/** Lives the shortest life a template allows: it must be gone by itself at the end of this file. */
const shortLived = (await readyStream(client, 'lcls-results', { lifetimeSeconds: 10 })).id;

const FRAMES = 200;

test('a plain PUSH reaches a plain PULL through the relay, whole and in order', { timeout: 60_000 }, async (t) => {
  const { id } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  const sending = (async () => {
    for (let i = 0; i < FRAMES; i++) await push.send(frameOf(i, 100 + ((i * 4099) % 300_000)));
  })();
  for (let i = 0; i < FRAMES; i++) {
    const [frame] = await pull.receive();
    assert.ok(frame !== undefined);
    assert.equal(numberOf(frame), i);
    assert.equal(digestOf(frame), digestOf(frameOf(i, 100 + ((i * 4099) % 300_000))));
  }
  await sending;
  await client.call('stream.delete', { params: { id } });
});

test('a plain DEALER that returns sequence numbers gets each frame of 2 MiB once', { timeout: 60_000 }, async (t) => {
  const { id } = await readyStream(client, 'lcls-frames');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const credential = await credentialFor(client, id, 'consumer');
  assert.equal(credential.delivery, 'redeliver');
  const dealer = dealWith(t, credential);
  const count = 30;
  const sending = (async () => {
    for (let i = 0; i < count; i++) await push.send(frameOf(i, 2_097_152));
  })();
  for (let i = 0; i < count; i++) {
    const [tag, frame] = await dealer.receive();
    assert.ok(tag !== undefined && frame !== undefined);
    assert.equal(digestOf(frame), digestOf(frameOf(i, 2_097_152)));
    await dealer.send(tag);
  }
  await sending;
  await until('every frame was returned', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return counters?.messagesIn === count && counters.buffered === 0;
  });
  await client.call('stream.delete', { params: { id } });
});

const PYTHON = '/usr/bin/python3';
const missing =
  spawnSync(PYTHON, ['-c', 'import zmq']).status === 0 ? false : 'apt-get install --no-install-recommends python3-zmq';
const PROGRAM = `
import hashlib, json, sys, zmq
c = json.load(sys.stdin)
context = zmq.Context()
s = context.socket(zmq.PUSH if c["role"] == "producer" else zmq.PULL)
s.plain_username, s.plain_password = c["username"].encode(), c["password"].encode()
s.connect(c["endpoint"])
digest = hashlib.sha256()
for i in range(c["count"]):
    if c["role"] == "producer":
        frame = (b"%06d" % i) * 5000
        s.send(frame)
    else:
        frame = s.recv()
    digest.update(frame)
print(digest.hexdigest())
s.close(linger=10000)
context.term()
`;

test("Debian's pyzmq works by setting two PLAIN options", { timeout: 60_000, skip: missing }, async (t) => {
  const { id } = await readyStream(client, 'lcls-results');
  const run = async (role: 'producer' | 'consumer'): Promise<string> => {
    const child = spawn(PYTHON, ['-c', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => void child.kill('SIGKILL'));
    child.stdin.end(JSON.stringify({ ...(await credentialFor(client, id, role)), role, count: 100 }));
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => void parts.push(part));
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    return Buffer.concat(parts).toString();
  };
  const [sent, got] = await Promise.all([run('producer'), run('consumer')]);
  assert.equal(got, sent);
  assert.equal(sent.trim().length, 64);
  await client.call('stream.delete', { params: { id } });
});

test('a wrong password, a wrong name, the other role and no credentials at all are refused, counted and audited', {
  timeout: 60_000,
}, async (t) => {
  const { id } = await readyStream(client, 'lcls-results');
  const good = await credentialFor(client, id, 'producer');
  const refused = async (): Promise<number> =>
    (await client.call('stream.show', { params: { id } })).counters?.refused ?? 0;
  let seen = 0;
  const tries: readonly (readonly [string, () => Push | Pull])[] = [
    ['wrong password', () => new Push({ plainUsername: good.username, plainPassword: 'wrong', linger: 0 })],
    ['wrong name', () => new Push({ plainUsername: 'crd_none', plainPassword: good.password, linger: 0 })],
    ['NULL', () => new Push({ linger: 0 })],
    [
      "a producer's credential on a consumer",
      () => new Pull({ plainUsername: good.username, plainPassword: good.password }),
    ],
  ];
  for (const [what, open] of tries) {
    const socket = open();
    socket.connect(good.endpoint);
    const before = seen;
    seen = await until(`${what} is refused`, async () => {
      const now = await refused();
      return now > before && now;
    });
    socket.close();
    // What was tried again while the counter was read belongs to this one.
    seen = Math.max(seen, await refused());
  }
  assert.deepEqual(await connectedCredentials(client, id), []);
  const audited = await until('the refusals are audited', async () => {
    const { records } = await beamway.admin().call('audit.list', { query: { limit: 1000 } });
    const those = records.filter((r) => r.action === 'stream.refused' && r.resource === `stream/${id}`);
    return those.length > 0 && those;
  });
  assert.ok(!JSON.stringify(audited).includes(good.password));
  const push = pushTo(t, good);
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await push.send('still works');
  assert.equal(String((await pull.receive())[0]), 'still works');
  await client.call('stream.delete', { params: { id } });
});

test('to a token of another project the stream does not exist, whatever it asks', async () => {
  const { id } = await readyStream(client, 'lcls-results');
  const { client: stranger } = await beamway.mint({ project: 'beamtime' });
  const notFound = { status: 404, code: 'not-found' };
  await assert.rejects(stranger.call('stream.show', { params: { id } }), notFound);
  await assert.rejects(credentialFor(stranger, id, 'consumer'), notFound);
  await assert.rejects(stranger.call('stream.extend', { params: { id }, body: { lifetimeSeconds: 60 } }), notFound);
  await assert.rejects(stranger.call('stream.delete', { params: { id } }), notFound);
  const job = { script: '#!/bin/sh\n', streams: [{ stream: id, name: 'a', role: 'consumer' as const }] };
  await assert.rejects(stranger.call('job.submit', { body: job }), { status: 400 });
  assert.deepEqual((await stranger.call('stream.list')).streams, []);
  await client.call('stream.delete', { params: { id } });
});

test("revoking a token cuts the live connections of its credentials, and nobody else's", {
  timeout: 60_000,
}, async (t) => {
  const { id } = await readyStream(client, 'lcls-results');
  const mine = await beamway.mint();
  const push = pushTo(t, await credentialFor(mine.client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(mine.client, id, 'consumer'));
  const other = pushTo(t, await credentialFor(client, id, 'producer'));
  let othersCut = false;
  other.events.on('disconnect', () => {
    othersCut = true;
  });
  await Promise.all([push, pull, other].map(admitted));
  await push.send('before');
  assert.equal(String((await pull.receive())[0]), 'before');
  const cut = Promise.all([push, pull].map((socket) => eventOf(socket, 'disconnect')));
  const began = performance.now();
  await beamway.admin().call('token.revoke', { params: { id: mine.id } });
  const answered = performance.now() - began;
  await cut;
  t.diagnostic(
    `revocation answered after ${answered.toFixed(0)} ms, both connections cut ${(performance.now() - began).toFixed(0)} ms after it was asked for; promised is 1000 ms`,
  );
  await assert.rejects(credentialFor(mine.client, id, 'producer'), { code: 'token-revoked' });
  await until('they come again and are refused', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return (counters?.refused ?? 0) >= 2;
  });
  assert.equal(othersCut, false);
  await client.call('stream.delete', { params: { id } });
});

/** Tells its attempt's credential and then does nothing, until it is ended. */
const TELL = '#!/bin/sh\ncat "$BEAMWAY_STREAMS"\nexec sleep 600\n';

async function toldBy(job: string, attempt: number): Promise<Credential> {
  return until(`attempt ${attempt} tells its credential`, async () => {
    const { state, reason, attempts } = await client.call('job.show', { params: { id: job } });
    assert.ok(!['failed', 'cancelled'].includes(state), reason);
    if (attempts.length < attempt) return undefined;
    const { text } = await client.call('job.output', { params: { id: job }, query: { attempt } });
    return text.endsWith('}') ? (JSON.parse(text) as { streams: { frames: Credential } }).streams.frames : undefined;
  });
}

test('a job claims its credential, a later attempt fences the earlier one, and the end of the job voids it', {
  timeout: 60_000,
}, async (t: TestContext) => {
  const { id } = await readyStream(client, 'lcls-results');
  const streams = [{ stream: id, name: 'frames', role: 'consumer' as const }];
  const job = await client.call('job.submit', { body: { tier: 'batch', script: TELL, requeue: true, streams } });
  const first = await toldBy(job.id, 1);
  const earlier = pullFrom(t, first);
  await admitted(earlier);
  const cut = eventOf(earlier, 'disconnect');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  await push.send('to attempt 1');
  assert.equal(String((await earlier.receive())[0]), 'to attempt 1');

  const urgent = { tier: 'urgent', script: '#!/bin/sh\nexec sleep 0.1\n', nodes: 4, slotsPerNode: 4 };
  await client.call('job.submit', { body: urgent });
  const second = await toldBy(job.id, 2);
  assert.notEqual(second.username, first.username);
  assert.notEqual(second.password, first.password);
  await cut;
  await until('the earlier attempt comes again and is refused', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return (counters?.refused ?? 0) > 0;
  });
  const later = pullFrom(t, second);
  await admitted(later);
  await push.send('to attempt 2');
  assert.equal(String((await later.receive())[0]), 'to attempt 2');

  const over = eventOf(later, 'disconnect');
  await client.call('job.cancel', { params: { id: job.id } });
  await over;
  await until(
    'nobody but the producer is connected',
    async () => (await connectedCredentials(client, id)).length === 1,
  );
  await client.call('stream.delete', { params: { id } });
});

test('fifty streams provisioned and released leave no port, descriptor, process or file behind', {
  timeout: 90_000,
}, async (t) => {
  const { pid, name } = beamway.node();
  const cycle = async (count: number): Promise<void> => {
    const ids = await Promise.all(
      Array.from({ length: count }, async () => (await readyStream(client, 'lcls-results')).id),
    );
    for (const id of ids) pushTo(t, await credentialFor(client, id, 'producer')).close();
    await Promise.all(ids.map((id) => client.call('stream.delete', { params: { id } })));
    for (const id of ids)
      await until(`${id} is released`, async () => {
        const { state } = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
        return state === 'released';
      });
  };
  await cycle(10);
  const folder = join(beamway.state, 'nodes', name);
  const children = (): string => readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  const seen = { ...holdingsOf(pid), files: readdirSync(folder).sort(), children: children() };
  for (let i = 0; i < 5; i++) await cycle(10);
  await until('descriptors and ports are as before', () => {
    const now = holdingsOf(pid);
    return now.descriptors <= seen.descriptors && now.listening <= seen.listening;
  });
  assert.deepEqual(readdirSync(folder).sort(), seen.files);
  assert.equal(children(), seen.children);
  const memory = JSON.parse(readFileSync(join(folder, 'leases.json'), 'utf8')) as {
    leases: unknown[];
    claimed: unknown[];
  };
  assert.deepEqual(
    [memory.leases.filter((l) => (l as { stream: string }).stream !== shortLived), memory.claimed],
    [[], []],
  );
  t.diagnostic(`${seen.descriptors} descriptors, ${seen.listening} listening ports before and after 50 cycles`);
});

test('a stream whose life is over is released by itself', { timeout: 60_000 }, async () => {
  const { reason } = await until('it is released', async () => {
    const stream = await client.call('stream.show', { params: { id: shortLived } });
    return stream.state === 'released' && stream;
  });
  assert.equal(reason, 'its lifetime is over');
});
