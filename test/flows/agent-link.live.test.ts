/** The link between the real control plane and a Slurm agent whose Slurm is a fake: tickets, the WebSocket, revocation, draining, two agents, and what is refused. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { SOCKET_PROTOCOL, TICKET_PROTOCOL } from '../../src/api/contract/sockets.ts';
import { startFakeAgent } from './agent-link.fixture.ts';
import { type ApiServer, eventually, fileScope, startApiServer } from './api-server.ts';

const scope = fileScope();
let shared: Promise<ApiServer> | undefined;
const server = (): Promise<ApiServer> => {
  shared ??= startApiServer(scope, { slurmClusters: ['alpha', 'beta'] });
  return shared;
};
const LINK = '/beamway/v1/clusters/alpha/link';

interface Listed {
  readonly name: string;
  readonly linked: boolean;
  readonly reason: string;
  readonly nodes: readonly unknown[];
}

async function clusterNow(api: ApiServer, name = 'alpha'): Promise<Listed> {
  const { body } = await api.ask('/beamway/v1/clusters', { bearer: await api.token() });
  const found = (body['clusters'] as Listed[]).find((c) => c.name === name);
  assert.ok(found);
  return found;
}

async function ticketFor(api: ApiServer, bearer?: string): Promise<string> {
  const value = bearer ?? (await api.agent('alpha')).value;
  const { status, body, text } = await api.ask(LINK, { method: 'POST', bearer: value });
  assert.equal(status, 200, text);
  assert.match(String(body['ticket']), /^[\w-]{43}$/);
  return String(body['ticket']);
}

/** What comes of an upgrade, as text; ends at the connection's end, or at the head of a 101. */
function rawUpgrade(api: ApiServer, lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () =>
      socket.write(`${lines.join('\r\n')}\r\n\r\n`),
    );
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
      if (text.startsWith('HTTP/1.1 101')) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

const upgradeLines = (path: string, ...more: string[]): string[] => [
  `GET ${path} HTTP/1.1`,
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ...more,
];
const withTicket = (ticket: string): string =>
  `Sec-WebSocket-Protocol: ${SOCKET_PROTOCOL}, ${TICKET_PROTOCOL}${ticket}`;

test('an agent dials, is asked, and the list shows its nodes; before that it is shown as away', async (t) => {
  const api = await server();
  const before = await clusterNow(api);
  assert.deepEqual([before.linked, before.nodes], [false, []]);
  assert.match(before.reason, /not linked/);
  const agent = startFakeAgent(t, { urls: [api.url], bearer: (await api.agent('alpha')).value, cluster: 'alpha' });
  const now = await eventually('a link', async () => {
    const found = await clusterNow(api);
    return found.nodes.length > 0 ? found : undefined;
  });
  assert.deepEqual(now, {
    name: 'alpha',
    scheduler: 'slurm',
    linked: true,
    reason: '',
    nodes: [{ name: 'c1', slots: 4, free: 3, state: 'up' }],
  });
  assert.equal(agent.link.links(), 1);
});

test('a failing Slurm is told as a reason, and the other clusters are listed all the same', async (t) => {
  const api = await server();
  const agent = startFakeAgent(t, {
    urls: [api.url],
    bearer: (await api.agent('alpha')).value,
    cluster: 'alpha',
    serve: () => Promise.reject(new Error('a fault of the fake, not to be told')),
  });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  const shown = await clusterNow(api);
  assert.equal(shown.linked, true);
  assert.match(shown.reason, /the agent failed; its log says why/);
  assert.equal((await clusterNow(api, 'local')).nodes.length, 4);
});

test('a revoked bearer keeps its link for two seconds at the most', async (t) => {
  const api = await server();
  const bearer = await api.agent('alpha');
  const agent = startFakeAgent(t, { urls: [api.url], bearer: bearer.value, cluster: 'alpha' });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  await api.server.revoke(bearer.id, 'test');
  await eventually('no link', async () => (agent.link.links() === 0 ? true : undefined));
  assert.equal((await clusterNow(api)).linked, false);
  await eventually('its refusal', async () => agent.log.find((line) => line.includes('token-revoked')));
});

test('a bearer that expires loses its link', async (t) => {
  const api = await server();
  const bearer = await api.agent('alpha', 2);
  const agent = startFakeAgent(t, { urls: [api.url], bearer: bearer.value, cluster: 'alpha' });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  await eventually('no link', async () => (agent.link.links() === 0 ? true : undefined));
  await eventually('its refusal', async () => agent.log.find((line) => line.includes('token-expired')));
});

test('of two agents of a cluster the newest has the link, and the other is told why', async (t) => {
  const api = await server();
  const { value: bearer } = await api.agent('beta');
  const older = startFakeAgent(t, { urls: [api.url], bearer, cluster: 'beta' });
  await eventually('a link', async () => (older.link.links() === 1 ? true : undefined));
  const newer = startFakeAgent(t, { urls: [api.url], bearer, cluster: 'beta' });
  await eventually('word of it', async () => older.log.find((line) => line.includes('superseded')));
  // What changed is asked for whenever a link comes up: only the question about nodes is ours.
  const asked = (): number => newer.acts.filter((act) => act === 'nodes').length;
  const before = asked();
  await clusterNow(api, 'beta');
  assert.equal(asked(), before + 1);
});

test('a ticket opens one socket, and only at its own path', async () => {
  const api = await server();
  const ticket = await ticketFor(api);
  assert.match(
    await rawUpgrade(api, upgradeLines(LINK, withTicket(ticket))),
    /^HTTP\/1\.1 101 [\s\S]*sec-websocket-protocol: beamway\.v1\r\n/i,
  );
  assert.match(
    await rawUpgrade(api, upgradeLines(LINK, withTicket(ticket))),
    /^HTTP\/1\.1 401 [\s\S]*"ticket-refused"/,
  );
  const other = await ticketFor(api);
  const wrong = await rawUpgrade(api, upgradeLines('/beamway/v1/clusters/beta/link', withTicket(other)));
  assert.match(wrong, /^HTTP\/1\.1 401 [\s\S]*"ticket-refused"/);
  assert.match(
    await rawUpgrade(api, upgradeLines(LINK, withTicket(other))),
    /^HTTP\/1\.1 401 /,
    'and is used up by that',
  );
});

test('a page of a browser opens no link', async () => {
  const api = await server();
  const answer = await rawUpgrade(api, [
    ...upgradeLines(LINK, withTicket(await ticketFor(api))),
    'Origin: https://evil.example',
  ]);
  assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*"socket-origin"/);
});

test('whatever else wants a WebSocket is told no in our words, and what wants another protocol is served as if it did not', async () => {
  const api = await server();
  const none = await rawUpgrade(api, upgradeLines(LINK));
  assert.match(none, /^HTTP\/1\.1 401 [\s\S]*application\/problem\+json[\s\S]*"ticket-refused"/);
  for (const path of ['/', '/beamway/v1/health', '/beamway/v1/clusters/a/b/link', '/beamway/v1/jobs', '/%zz', '*'])
    assert.match(
      await rawUpgrade(api, upgradeLines(path, withTicket('x'))),
      /^HTTP\/1\.1 404 [\s\S]*"no-such-route"/,
      path,
    );
  const broken = upgradeLines(LINK, withTicket(await ticketFor(api))).map((l) =>
    l.replace(/^(Sec-WebSocket-Key: ).*/, '$1?'),
  );
  assert.match(await rawUpgrade(api, broken), /^HTTP\/1\.1 400 [\s\S]*"malformed-request"/);
  const old = upgradeLines(LINK, withTicket(await ticketFor(api))).map((l) => l.replace('Version: 13', 'Version: 7'));
  assert.match(await rawUpgrade(api, old), /^HTTP\/1\.1 400 [\s\S]*"malformed-request"/);
  const h2c = ['GET /beamway/v1/health HTTP/1.1', 'Host: x', 'Connection: Upgrade, close', 'Upgrade: h2c'];
  assert.match(await rawUpgrade(api, h2c), /^HTTP\/1\.1 200 /);
  const post = [...upgradeLines(LINK, withTicket('x')).slice(1), 'Connection: close'];
  assert.match(await rawUpgrade(api, [`POST ${LINK} HTTP/1.1`, ...post]), /^HTTP\/1\.1 401 [\s\S]*"token-missing"/);
});

test('the bearer of a streaming node gets no ticket, and an agent’s reports for no node', async () => {
  const api = await server();
  const asNode = await api.ask(LINK, { method: 'POST', bearer: await api.node('dsn01') });
  assert.equal(asNode.status, 403);
  assert.match(asNode.text, /only-agents-link/);
  const asOther = await api.ask(LINK, { method: 'POST', bearer: await api.agent('beta') });
  assert.match(asOther.text, /agent-links-own-cluster/);
  const report = {
    instance: 'i',
    knownVersion: 0,
    appliedVersion: 0,
    claimUrl: '',
    waitMs: 0,
    streams: [],
    events: [],
  };
  const asAgent = await api.ask('/beamway/v1/nodes/dsn01/sync', {
    method: 'POST',
    bearer: await api.agent('alpha'),
    body: report,
  });
  assert.match(asAgent.text, /agent-links-only/);
  const local = await api.ask('/beamway/v1/clusters/local/link', { method: 'POST', bearer: await api.agent('local') });
  assert.equal(local.code, 'not-found');
});

test('a frame that is none ends the link', async () => {
  const api = await server();
  const ticket = await ticketFor(api);
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}${LINK}`, [
    SOCKET_PROTOCOL,
    `${TICKET_PROTOCOL}${ticket}`,
  ]);
  const ended = new Promise<string>((resolve) => {
    socket.addEventListener('close', ({ code, reason }) => resolve(`${code} ${reason}`));
  });
  socket.addEventListener('open', () => socket.send('{"answer": 7, "output": {}}'));
  assert.equal(await ended, '4000 not a frame');
});

test('a replica that drains says goodbye, and its agent dials on', async (t) => {
  const api = await startApiServer(t, { slurmClusters: ['alpha'] });
  const agent = startFakeAgent(t, { urls: [api.url], bearer: (await api.agent('alpha')).value, cluster: 'alpha' });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  await api.stop();
  await eventually('word of it', async () => agent.log.find((line) => line.includes('1001')));
  assert.equal(agent.link.links(), 0);
  await eventually('another dial', async () => agent.log.find((line) => line.includes('fetch failed')));
});

test('the round trip of one ask', async (t) => {
  const api = await server();
  const agent = startFakeAgent(t, { urls: [api.url], bearer: (await api.agent('alpha')).value, cluster: 'alpha' });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  const scheduler = api.server.schedulers.get('alpha');
  assert.ok(scheduler);
  const took: number[] = [];
  for (let i = 0; i < 500; i += 1) {
    const start = performance.now();
    await scheduler.nodes();
    took.push(performance.now() - start);
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`p50 ${took[250]?.toFixed(3)} ms, p99 ${took[495]?.toFixed(3)} ms, one ask at a time on loopback`);
});

test('records that change wake whoever watches, and the list is fresh', async (t) => {
  const api = await server();
  const agent = startFakeAgent(t, {
    urls: [api.url],
    bearer: (await api.agent('alpha')).value,
    cluster: 'alpha',
    instance: 'two',
  });
  await eventually('a link', async () => (agent.link.links() === 1 ? true : undefined));
  const scheduler = api.server.schedulers.get('alpha');
  assert.ok(scheduler);
  let woken = 0;
  t.after(
    scheduler.watch(() => {
      woken += 1;
    }),
  );
  agent.add({ key: 'job_one' });
  await eventually('a wake-up', async () => (woken > 0 ? true : undefined));
  assert.deepEqual(
    (await scheduler.list()).map((j) => j.key),
    ['job_one'],
  );
  const { cursor } = await scheduler.changes();
  agent.add({ key: 'job_two' });
  assert.deepEqual(
    (await scheduler.changes(cursor)).jobs.map((j) => j.key),
    ['job_two'],
  );
});
