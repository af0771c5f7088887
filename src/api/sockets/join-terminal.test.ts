// With fakes in place of ws's sockets: what passes, what is kept, when the program is told to wait, and that each end of it is told once.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WebSocket } from 'ws';
import { handWoundClock } from '../../clock.ts';
import { joinTerminal, type TerminalEnd } from './join-terminal.ts';

function fakeSocket() {
  const sent: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    OPEN: 1,
    CLOSED: 3,
    readyState: 1,
    bufferedAmount: 0,
    isPaused: false,
    send: (data: string | Buffer) => void sent.push(typeof data === 'string' ? data : `bytes ${data.toString()}`),
    close: (_code: number, reason: string) => {
      sent.push(`close: ${reason}`);
      socket.readyState = 3;
      socket.emit('close');
    },
    pause: () => {
      socket.isPaused = true;
    },
    resume: () => {
      socket.isPaused = false;
    },
    terminate: () => undefined,
  });
  const says = (data: string | Buffer): void =>
    void socket.emit('message', Buffer.from(data), typeof data !== 'string');
  return { sent, socket, says, asSocket: socket as unknown as WebSocket };
}

function joined() {
  const clock = handWoundClock();
  const ends: TerminalEnd[] = [];
  const terminal = joinTerminal(clock, (end) => void ends.push(end));
  return { clock, ends, terminal, agent: fakeSocket(), person: fakeSocket() };
}

test('bytes pass both ways, sizes to the job, the exit to the person, and both sockets end with the program', () => {
  const { ends, terminal, agent, person } = joined();
  terminal.agent(agent.asSocket);
  terminal.person(person.asSocket);
  agent.says(Buffer.from('hello'));
  person.says(Buffer.from('ls'));
  person.says('{"columns":100,"rows":30}');
  agent.says('{"exit":3}');
  assert.deepEqual(person.sent, ['bytes hello', '{"exit":3}', 'close: the program has ended']);
  assert.deepEqual(agent.sent, ['bytes ls', '{"columns":100,"rows":30}', 'close: the program has ended']);
  assert.deepEqual(ends, [{ exit: 3, why: 'the program has ended', bytesToJob: 2, bytesFromJob: 5 }]);
});

test('what a program wrote before anybody looked is shown, also where it has ended and its agent gone', () => {
  const { ends, terminal, agent, person } = joined();
  terminal.agent(agent.asSocket);
  agent.says(Buffer.from('early'));
  agent.says('{"exit":0}');
  agent.socket.emit('close');
  assert.deepEqual(ends, []);
  terminal.person(person.asSocket);
  assert.deepEqual(person.sent, ['bytes early', '{"exit":0}', 'close: the program has ended']);
  assert.equal(ends.length, 1);
});

test('the program waits while the person takes nothing, and goes on when he does', () => {
  const { clock, terminal, agent, person } = joined();
  terminal.agent(agent.asSocket);
  terminal.person(person.asSocket);
  person.socket.bufferedAmount = 2 * 1024 * 1024;
  agent.says(Buffer.from('much'));
  assert.deepEqual(agent.sent, ['{"flow":"pause"}']);
  clock.advance(1000);
  assert.equal(agent.sent.length, 1);
  person.socket.bufferedAmount = 0;
  clock.advance(100);
  assert.deepEqual(agent.sent, ['{"flow":"pause"}', '{"flow":"resume"}']);
});

test('a person who sends more than the job takes is read no further until it does', () => {
  const { clock, terminal, agent, person } = joined();
  terminal.agent(agent.asSocket);
  terminal.person(person.asSocket);
  agent.socket.bufferedAmount = 2 * 1024 * 1024;
  person.says(Buffer.from('paste'));
  assert.ok(person.socket.isPaused);
  agent.socket.bufferedAmount = 0;
  clock.advance(100);
  assert.ok(!person.socket.isPaused);
});

for (const [who, why] of [
  ['agent', 'the agent went away'],
  ['person', 'whoever looked went away'],
] as const)
  test(`when the ${who} goes, the other end is closed and the reason told once`, () => {
    const { ends, terminal, agent, person } = joined();
    terminal.agent(agent.asSocket);
    terminal.person(person.asSocket);
    const [gone, left] = who === 'agent' ? [agent, person] : [person, agent];
    gone.socket.readyState = 3;
    gone.socket.emit('close');
    assert.ok(left.sent.includes(`close: ${why}`));
    terminal.end('again');
    assert.deepEqual(
      ends.map((e) => e.why),
      [why],
    );
  });

test('a second one at either end is turned away, and changes nothing', () => {
  const { ends, terminal, agent, person } = joined();
  terminal.agent(agent.asSocket);
  terminal.person(person.asSocket);
  for (const join of [terminal.agent, terminal.person]) {
    const late = fakeSocket();
    join(late.asSocket);
    assert.deepEqual(late.sent, ['close: it is over']);
  }
  assert.deepEqual(ends, []);
});

test('whatever a person sends reaches the job as bytes, as a size in bounds, or ends it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.uint8Array().map((b) => Buffer.from(b)),
      ),
      (frame) => {
        const { ends, terminal, agent, person } = joined();
        terminal.agent(agent.asSocket);
        terminal.person(person.asSocket);
        person.says(frame);
        for (const text of agent.sent) assert.match(text, /^(bytes|close:|\{"columns":\d{1,4},"rows":\d{1,4}\}$)/);
        assert.ok(ends.length === 0 || ends[0]?.why === 'what came was no frame of a terminal');
      },
    ),
  );
});
