/** The agent's end against a scripted control plane: a plain HTTP server and ws, no Beamway behind them. The real one: test/flows/agent-link.live.test.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type WebSocket as Peer, WebSocketServer } from 'ws';
import { handWoundClock, systemClock } from '../../clock.ts';
import { isSafeUrl, SlurmFailure } from '../contract/index.ts';
import { type AgentLinkOptions, openAgentLink, readControlFrame } from './agent-link.ts';

async function until<T>(what: string, probe: () => T | undefined): Promise<T> {
  const end = systemClock.monotonic() + 10_000;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    assert.ok(systemClock.monotonic() < end, `${what} within 10 s`);
    await new Promise<void>((resolve) => void systemClock.after(10, resolve));
  }
}

interface Control {
  readonly url: string;
  readonly peers: Peer[];
  readonly frames: Record<string, unknown>[];
  readonly bearers: string[];
  /** What the ticket says of where to go. */
  answerUrl: string;
}

async function control(t: TestContext): Promise<Control> {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'beamway.v1' });
  const server = createServer((request, response) => {
    made.bearers.push(String(request.headers.authorization));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url: made.answerUrl, ticket: 'tick', expiresAt: new Date().toISOString() }));
  });
  server.on('upgrade', (request, socket, head) => {
    assert.equal(request.headers['sec-websocket-protocol'], 'beamway.v1, beamway.ticket.tick');
    sockets.handleUpgrade(request, socket, head, (peer) => {
      made.peers.push(peer);
      peer.on('message', (data) => made.frames.push(JSON.parse(data.toString())));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const made: Control = { url, peers: [], frames: [], bearers: [], answerUrl: '/beamway/v1/clusters/alpha/link' };
  t.after(async () => {
    for (const peer of made.peers) peer.terminate();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return made;
}

function agent(t: TestContext, urls: readonly string[], over: Partial<AgentLinkOptions> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'bw-link-'));
  const linkFile = join(dir, 'link.json');
  const write = (text: string): void => writeFileSync(linkFile, text, { mode: 0o600 });
  write(JSON.stringify({ urls, bearer: 'bwn_test' }));
  const log: string[] = [];
  const note = (fields: object, text: string): void => {
    const why = 'err' in fields ? String(fields.err) : '';
    log.push(`${text} ${JSON.stringify(fields)} ${why}`);
  };
  const start = () => {
    const link = openAgentLink({
      linkFile,
      cluster: 'alpha',
      instance: 'one',
      version: () => 7,
      serve: async () => ({ nodes: [] }),
      clock: systemClock,
      log: { info: note, warn: note },
      ...over,
    });
    t.after(() => link.stop());
    return link;
  };
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { linkFile, write, log, start };
}

const answers = (c: Control) => c.frames.filter((f) => 'answer' in f);
const ask = (c: Control, number: number, act: string, input: unknown): void =>
  c.peers.at(-1)?.send(JSON.stringify({ ask: number, act, input }));

test('it says instance and version first, answers by number, and failures as what they are', async (t) => {
  const c = await control(t);
  const { start, log } = agent(t, [c.url], {
    async serve(act) {
      if (act === 'tiers') throw new SlurmFailure({ kind: 'limit', message: 'no', limit: 'QOSGrpNodeLimit' });
      if (act === 'diagnostics') throw new Error('private');
      return { nodes: [] };
    },
  });
  start();
  await until('the first frame', () => c.frames[0]);
  assert.deepEqual([c.frames[0], c.bearers[0]], [{ instance: 'one', version: 7 }, 'Bearer bwn_test']);
  ask(c, 1, 'nodes', {});
  ask(c, 2, 'tiers', {});
  ask(c, 3, 'diagnostics', {});
  ask(c, 4, 'rm -rf', {});
  ask(c, 5, 'constructor', {});
  ask(c, 6, 'access', { project: 'a b' });
  c.peers[0]?.send('{"beat":1}');
  await until('six answers', () => (answers(c).length === 6 ? true : undefined));
  const told = Object.fromEntries(answers(c).map((f) => [f['answer'], f['output'] ?? f['failure']]));
  assert.deepEqual(told[1], { nodes: [] });
  assert.deepEqual(told[2], { kind: 'limit', message: 'no', limit: 'QOSGrpNodeLimit' });
  assert.deepEqual(told[3], { kind: 'unavailable', message: 'the agent failed; its log says why' });
  assert.deepEqual([told[4], told[5]], Array(2).fill({ kind: 'invalid', message: 'this agent knows no such act' }));
  assert.match(JSON.stringify(told[6]), /"invalid".*project: /);
  assert.ok(log.some((line) => line.includes('private')) && !JSON.stringify(told).includes('private'));
});

test('256 acts are done at once, one more is told to come again', async (t) => {
  const c = await control(t);
  const waiting: (() => void)[] = [];
  const { start } = agent(t, [c.url], {
    serve: () => new Promise((resolve) => void waiting.push(() => resolve({ nodes: [] }))),
  });
  start();
  await until('a link', () => c.frames[0]);
  for (let i = 1; i <= 257; i += 1) ask(c, i, 'nodes', {});
  const [refused] = await until('an answer', () => (answers(c).length > 0 ? answers(c) : undefined));
  assert.match(JSON.stringify(refused), /"answer":257.*"unavailable".*256/);
  for (const done of waiting) done();
  await until('the others', () => (answers(c).length === 257 ? true : undefined));
});

test('changes in a burst are told once, with the version of then', async (t) => {
  const c = await control(t);
  const running = agent(t, [c.url]).start();
  await until('a link', () => c.frames[0]);
  for (let i = 0; i < 100; i += 1) running.changed();
  await until('word of it', () => c.frames[1]);
  ask(c, 1, 'nodes', {});
  await until('an answer', () => answers(c)[0]);
  assert.equal(c.frames.length, 3);
});

test('a link that ends is dialled again with the bearer of then; what is no frame ends it', async (t) => {
  const c = await control(t);
  const { start, write } = agent(t, [c.url]);
  const running = start();
  await until('a link', () => c.frames[0]);
  write(JSON.stringify({ urls: [c.url], bearer: 'bwn_new' }));
  c.peers[0]?.terminate();
  await until('a second link', () => c.peers[1]);
  assert.equal(c.bearers.at(-1), 'Bearer bwn_new');
  c.peers[1]?.send('{"ask":"x"}');
  await until('a third link', () => c.peers[2]);
  await until('it is up', () => (running.links() === 1 ? true : undefined));
});

test('each address of the file has a link of its own', async (t) => {
  const [a, b] = [await control(t), await control(t)];
  const running = agent(t, [a.url, b.url]).start();
  await until('two links', () => (running.links() === 2 ? true : undefined));
  assert.deepEqual([a.peers.length, b.peers.length], [1, 1]);
});

test('a ticket that leads elsewhere is not followed', async (t) => {
  const [c, elsewhere] = [await control(t), await control(t)];
  c.answerUrl = `${elsewhere.url}/beamway/v1/clusters/alpha/link`;
  const { start, log } = agent(t, [c.url]);
  start();
  await until('its refusal', () => log.find((line) => line.includes('sent us elsewhere')));
  assert.deepEqual([elsewhere.peers.length, elsewhere.bearers.length], [0, 0]);
});

test('a file that others may read, or that is damaged, makes no dial and tells no bearer to the log', async (t) => {
  const c = await control(t);
  const open = agent(t, [c.url]);
  chmodSync(open.linkFile, 0o644);
  open.start();
  await until('its refusal', () => open.log.find((line) => line.includes('may be used by others')));
  const damaged = agent(t, []);
  damaged.write('{"urls": [], "bearer": "bwn_secret" nonsense');
  damaged.start();
  const clear = agent(t, ['http://gateway.example.org']);
  clear.start();
  for (const { log } of [damaged, clear]) {
    await until('a line', () => log[0]);
    assert.doesNotMatch(log.join(), /bwn_/);
  }
  assert.equal(c.bearers.length, 0);
});

test('a control plane that falls silent is given up after 25 s and dialled again', async (t) => {
  const c = await control(t);
  const clock = handWoundClock();
  const { start } = agent(t, [c.url], { clock });
  start();
  await until('a link', () => c.frames[0]);
  clock.advance(24_000);
  ask(c, 1, 'nodes', {});
  await until('an answer', () => answers(c)[0]);
  clock.advance(24_000);
  assert.equal(c.peers.length, 1);
  clock.advance(2000);
  await until('another dial', () => {
    clock.advance(200);
    return c.peers[1];
  });
});

test('only https, or http on a loopback address, is safe', () => {
  for (const url of ['https://gw.example.org', 'http://127.0.0.1:1', 'http://[::1]:1', 'http://localhost'])
    assert.ok(isSafeUrl(url), url);
  for (const url of [
    'http://10.0.0.1',
    'http://127.0.0.1.evil.example',
    'http://localhost.evil.example',
    'ws://127.0.0.1',
    'file:///etc/passwd',
    'https://u:p@gw.example.org',
    'x',
  ])
    assert.ok(!isSafeUrl(url), url);
});

test('whatever comes, reading a frame throws nothing', () => {
  const frame = fc.oneof(
    fc.string(),
    fc.json(),
    fc.anything().map((v) => JSON.stringify({ ask: v, act: v, input: v }) ?? ''),
  );
  fc.assert(
    fc.property(frame, (text) => void readControlFrame(text)),
    { numRuns: 1000 },
  );
});
