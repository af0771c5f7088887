/** The registry of links, with scripted peers in place of WebSockets and a hand-wound clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../../clock.ts';
import { SlurmFailure, SUPERSEDED } from '../../slurm/contract/index.ts';
import { type AgentPeer, agentLinks, readAgentFrame } from './agent-links.ts';

interface Asked {
  readonly ask: number;
  readonly act: string;
  readonly input: unknown;
}

function scriptedPeer() {
  const sent: string[] = [];
  const closed: string[] = [];
  let hear = (_: string): void => undefined;
  let end = (): void => undefined;
  const peer: AgentPeer = {
    send: (text) => void sent.push(text),
    close(reason) {
      closed.push(reason);
      end();
    },
    onText: (listener) => {
      hear = listener;
    },
    onClose: (listener) => {
      end = listener;
    },
  };
  const asked = (): Asked[] => sent.map((text) => JSON.parse(text)).filter((frame) => 'ask' in frame);
  return {
    peer,
    sent,
    closed,
    asked,
    say: (frame: unknown): void => hear(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    end: (): void => end(),
  };
}

function open() {
  const clock = handWoundClock();
  const links = agentLinks({ clock, log: { info: () => undefined, warn: () => undefined } });
  return { clock, links, link: links.link('alpha') };
}
const fails = (kind: string, text: RegExp) => (cause: unknown) =>
  cause instanceof SlurmFailure && cause.kind === kind && text.test(cause.message);

test('without an agent an ask is unavailable at once', async () => {
  const { link } = open();
  assert.equal(link.connected, false);
  await assert.rejects(link.ask('nodes', {}), fails('unavailable', /not linked/));
});

test('answers find their asks in any order, and failures come as what they are', async () => {
  const { links, link } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  const [nodes, tiers, gone] = [
    link.ask('nodes', {}),
    link.ask('tiers', {}),
    link.ask('endReservation', { name: 'r' }),
  ];
  assert.deepEqual(
    agent.asked().map((a) => a.act),
    ['nodes', 'tiers', 'endReservation'],
  );
  agent.say({ answer: 3, failure: { kind: 'limit', message: 'no', limit: 'QOSMaxNodePerUserLimit' } });
  agent.say({ answer: 2, output: { tiers: [] } });
  agent.say({ answer: 1, output: { nodes: [] } });
  assert.deepEqual([await nodes, await tiers], [{ nodes: [] }, { tiers: [] }]);
  await assert.rejects(gone, (c) => c instanceof SlurmFailure && c.limit === 'QOSMaxNodePerUserLimit');
});

test('what is not the act’s input never leaves, and names the field', async () => {
  const { links, link } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  await assert.rejects(link.ask('access', { project: '../x' }), fails('invalid', /^project: /));
  assert.deepEqual(agent.sent, []);
});

test('an answer of another shape is unavailable, and the link stays', async () => {
  const { links, link } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  const asked = link.ask('nodes', {});
  agent.say({ answer: 1, output: { nodes: [{ name: 1 }] } });
  await assert.rejects(asked, fails('unavailable', /another version/));
  assert.deepEqual([agent.closed, link.connected], [[], true]);
});

test('an ask whose link dies fails at once; one that is not answered in time fails then, and a late answer is nothing', async () => {
  const { clock, links, link } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  const slow = link.ask('nodes', {}, { timeoutMs: 100 });
  clock.advance(100);
  await assert.rejects(slow, fails('unavailable', /within 0\.1 s/));
  agent.say({ answer: 1, output: { nodes: [] } });
  assert.deepEqual(agent.closed, []);
  const lost = link.ask('nodes', {});
  agent.end();
  await assert.rejects(lost, fails('unavailable', /ended before its answer/));
  assert.equal(link.connected, false);
});

test('the newest connection wins: the older one is closed, its asks fail, and its end ends nothing', async () => {
  const { links, link } = open();
  const [older, newer] = [scriptedPeer(), scriptedPeer()];
  links.attach('alpha', older.peer);
  const lost = link.ask('nodes', {});
  links.attach('alpha', newer.peer);
  assert.deepEqual(older.closed, [SUPERSEDED]);
  await assert.rejects(lost, fails('unavailable', /took over/));
  older.say({ answer: 1, output: { nodes: [] } });
  assert.equal(link.connected, true);
  const asked = link.ask('nodes', {});
  newer.say({ answer: 1, output: { nodes: [] } });
  assert.deepEqual(await asked, { nodes: [] });
  assert.equal(links.link('beta').connected, false);
});

test('a thousand asks may wait, one more is unavailable', async () => {
  const { links, link } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  const waiting = Array.from({ length: 1000 }, () => link.ask('nodes', {}));
  await assert.rejects(link.ask('nodes', {}), fails('unavailable', /1000 questions/));
  for (const { ask } of agent.asked()) agent.say({ answer: ask, output: { nodes: [] } });
  assert.equal((await Promise.all(waiting)).length, 1000);
});

test('listeners are woken by an agent that attaches and by its word of changes; one that throws stops no other', () => {
  const { links, link } = open();
  let woken = 0;
  link.onChange(() => {
    throw new Error('a listener of the test');
  });
  const stop = link.onChange(() => {
    woken += 1;
  });
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  agent.say({ instance: 'one', version: 2 });
  assert.equal(woken, 2);
  stop();
  agent.say({ instance: 'one', version: 3 });
  assert.equal(woken, 2);
});

test('it beats every ten seconds, and no more once the link ended', () => {
  const { clock, links } = open();
  const agent = scriptedPeer();
  links.attach('alpha', agent.peer);
  clock.advance(25_000);
  assert.deepEqual(agent.sent, ['{"beat":1}', '{"beat":2}']);
  agent.end();
  clock.advance(60_000);
  assert.equal(agent.sent.length, 2);
});

const frame = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .record({ answer: fc.oneof(fc.integer(), fc.anything()), output: fc.anything() })
    .map((f) => JSON.stringify(f) ?? ''),
  fc
    .record({ instance: fc.anything(), version: fc.anything() }, { requiredKeys: [] })
    .map((f) => JSON.stringify(f) ?? ''),
  fc.constantFrom(
    '',
    '{}',
    'null',
    '[]',
    '{"answer":0,"output":1}',
    '{"answer":1e99,"output":1}',
    `${'['.repeat(5000)}`,
  ),
);

test('whatever comes, reading a frame throws nothing, and what is none closes the link', () => {
  fc.assert(
    fc.property(frame, (text) => {
      const read = readAgentFrame(text);
      const { links } = open();
      const agent = scriptedPeer();
      links.attach('alpha', agent.peer);
      agent.say(text);
      // Nothing was asked: an answer is none of ours.
      assert.deepEqual(agent.closed, read !== undefined && 'version' in read ? [] : ['not a frame']);
    }),
    { numRuns: 1000, examples: [['{"__proto__":{"version":1}}'], ['{"version":1,"instance":"a","more":1}']] },
  );
});
