// The facility's lockdown on the whole system: outside is cut and refused, inside goes on, nobody mints; lifted, all is as before.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Problem } from '../../src/problems.ts';
import { admitted, connectedCredentials, credentialFor, eventOf, pullFrom, pushTo, readyStream } from './libzmq.ts';
import { startBeamway, until } from './start-beamway.ts';

const beamway = await startBeamway({ after });

const codeOf = (thrown: unknown): string =>
  thrown instanceof Problem ? thrown.code : String((thrown as { code?: unknown }).code);

async function refusal(promise: Promise<unknown>): Promise<{ readonly code: string; readonly text: string }> {
  try {
    await promise;
  } catch (thrown) {
    return { code: codeOf(thrown), text: JSON.stringify(thrown) + String(thrown) };
  }
  return { code: 'none', text: '' };
}

const CONSUMER = '#!/bin/sh\ncat "$BEAMWAY_STREAMS"\nexec sleep 600\n';

test('locked down, whoever came from outside is cut and refused, jobs stay, nobody mints; lifted, it all works again', {
  timeout: 90_000,
}, async (t) => {
  const { client } = await beamway.mint();
  const admin = beamway.admin();
  const { id } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await Promise.all([push, pull].map(admitted));
  const job = await client.call('job.submit', {
    body: { script: CONSUMER, streams: [{ stream: id, name: 'frames', role: 'consumer' as const }] },
  });
  await until(
    'the job runs',
    async () => (await client.call('job.show', { params: { id: job.id } })).state === 'running',
  );

  const cut = Promise.all([push, pull].map((socket) => eventOf(socket, 'disconnect')));
  const set = await admin.call('lockdown.set', { body: { reason: 'a drill' } });
  assert.equal(set.inForce, true);
  await cut;
  await until('nobody from outside is connected', async () => (await connectedCredentials(client, id)).length === 0);
  const again = await admin.call('lockdown.set', { body: { reason: 'another reason' } });
  assert.equal(again.reason, 'a drill', 'a second one changes nothing');
  await until('the node has applied it', async () => (await admin.call('lockdown.show')).pendingNodes.length === 0);

  for (const asked of [
    () => client.call('stream.credential', { params: { id }, body: { role: 'producer' } }),
    () => client.call('self.delegate', { body: { scopes: ['job:read'], lifetimeSeconds: 60 } }),
    () =>
      admin.call('token.mint', {
        body: { project: 'demo', environments: ['ace'], scopes: ['job:read'], lifetimeSeconds: 60 },
      }),
  ]) {
    const { code, text } = await refusal(asked());
    assert.equal(code, 'refused', text);
    assert.match(text, /lock/);
  }
  const now = await client.call('job.show', { params: { id: job.id } });
  assert.equal(now.state, 'running', 'what runs inside goes on');

  const lifted = await admin.call('lockdown.lift', { query: { reason: 'the drill is over' } });
  assert.equal(lifted.inForce, false);
  await until('the same sockets are let in again', async () => (await connectedCredentials(client, id)).length === 2);
  await credentialFor(client, id, 'producer');
  await beamway.mint();
  const { records } = await admin.call('audit.list', { query: { action: 'lockdown.set' } });
  assert.ok(records.some((r) => r.phase === 'outcome' && r.status === 200));
  await client.call('job.cancel', { params: { id: job.id } });
});
