// The data streaming node on its own: killed and restarted, with the control plane there or gone, and offline for longer than it may be.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { admitted, connectedCredentials, credentialFor, eventOf, pullFrom, pushTo, readyStream } from './libzmq.ts';
import { isAlive, startBeamway, until } from './start-beamway.ts';

/** A template like lcls-results whose streams may be without the control plane for two seconds only. */
function withBriefTemplate(facility: string): void {
  const text = readFileSync(join(facility, 'stream-templates/lcls-results.yaml'), 'utf8');
  const brief = text
    .replace('name: lcls-results', 'name: brief')
    .replace(/offlineLifetimeSeconds: \d+/, 'offlineLifetimeSeconds: 2');
  writeFileSync(join(facility, 'stream-templates/brief.yaml'), brief);
  const ace = join(facility, 'environments/ace.yaml');
  writeFileSync(ace, readFileSync(ace, 'utf8').replace(/streamTemplates:\s*\[/, 'streamTemplates: [brief, '));
}

const beamway = await startBeamway({ after }, { facility: withBriefTemplate });
const { client } = await beamway.mint();
const nodePid = (): number =>
  (
    JSON.parse(readFileSync(join(beamway.state, 'nodes', beamway.node().name, 'process.json'), 'utf8')) as {
      pid: number;
    }
  ).pid;

async function killNode(): Promise<number> {
  const pid = nodePid();
  process.kill(pid, 'SIGKILL');
  await until('the agent is gone', () => !isAlive(pid));
  return pid;
}

/** Sends and receives until a message makes it: libzmq loses what was on its way when a connection broke. */
async function passes(push: ReturnType<typeof pushTo>, pull: ReturnType<typeof pullFrom>): Promise<void> {
  let over = false;
  const sending = (async () => {
    while (!over) {
      await push.send('on and on');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const [frame] = await pull.receive();
  over = true;
  assert.equal(String(frame), 'on and on');
  await sending;
}

const JOB = '#!/bin/sh\ncat "$BEAMWAY_STREAMS"\n';

test('an agent that is killed comes back on the same ports, and credentials and waiting claims stay valid', {
  timeout: 90_000,
}, async (t) => {
  const { id, endpoints } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await Promise.all([push, pull].map(admitted));
  // It holds every slot, so that the job behind it starts only after the agent was restarted.
  const blocker = await client.call('job.submit', {
    body: { tier: 'urgent', script: '#!/bin/sh\nexec sleep 600\n', nodes: 4, slotsPerNode: 4 },
  });
  const streams = [{ stream: id, name: 'frames', role: 'consumer' as const }];
  const job = await client.call('job.submit', { body: { script: JOB, streams } });

  const cut = Promise.all([push, pull].map((socket) => eventOf(socket, 'disconnect')));
  const killed = await killNode();
  await cut;
  await until('another agent runs', () => nodePid() !== killed && isAlive(nodePid()));
  await passes(push, pull);
  assert.deepEqual((await readyAgain(id)).endpoints, endpoints);

  await client.call('job.cancel', { params: { id: blocker.id } });
  const done = await until('the waiting job has claimed its credential and ended', async () => {
    const now = await client.call('job.show', { params: { id: job.id } });
    return ['completed', 'failed'].includes(now.state) && now;
  });
  assert.equal(done.state, 'completed', done.reason);
  await client.call('stream.delete', { params: { id } });
});

const readyAgain = (id: string) =>
  until('the stream is ready', async () => {
    const stream = await client.call('stream.show', { params: { id } });
    return stream.state === 'ready' && stream;
  });

test('killed while the control plane is down, the agent goes on from its lease file once something starts it', {
  timeout: 90_000,
}, async (t) => {
  const { id, endpoints } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await Promise.all([push, pull].map(admitted));
  await beamway.kill();
  await passes(push, pull);
  await killNode();
  await beamway.restart();
  await passes(push, pull);
  assert.deepEqual((await readyAgain(id)).endpoints, endpoints);
  await client.call('stream.delete', { params: { id } });
});

test('offline for longer than it may be, a stream is closed; others go on; linked again, it is opened again', {
  timeout: 90_000,
}, async (t) => {
  const brief = await readyStream(client, 'brief');
  const long = await readyStream(client, 'lcls-results');
  const [briefPush, briefPull, longPush, longPull] = [
    pushTo(t, await credentialFor(client, brief.id, 'producer')),
    pullFrom(t, await credentialFor(client, brief.id, 'consumer')),
    pushTo(t, await credentialFor(client, long.id, 'producer')),
    pullFrom(t, await credentialFor(client, long.id, 'consumer')),
  ];
  await Promise.all([briefPush, briefPull, longPush, longPull].map(admitted));
  const pid = nodePid();
  const closed = Promise.all([briefPush, briefPull].map((socket) => eventOf(socket, 'disconnect')));
  await beamway.kill();
  const began = performance.now();
  await closed;
  t.diagnostic(
    `closed ${(performance.now() - began).toFixed(0)} ms after the control plane was killed; 2000 ms are allowed, looked at every 2 s at most`,
  );
  await passes(longPush, longPull);
  await beamway.restart();
  assert.equal(nodePid(), pid, 'the agent was adopted');
  await passes(briefPush, briefPull);
  assert.deepEqual((await readyAgain(brief.id)).endpoints, brief.endpoints);
  for (const id of [brief.id, long.id]) await client.call('stream.delete', { params: { id } });
  await until('nobody is connected', async () => (await connectedCredentials(client, long.id)).length === 0);
});
