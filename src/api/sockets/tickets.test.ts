import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handWoundClock } from '../../clock.ts';
import { openTickets, type SocketGrant } from './tickets.ts';

const grant = (holder: string): SocketGrant => ({
  purpose: 'test',
  holder,
  path: '/x',
  allowsOrigin: () => true,
  maxFrameBytes: 1,
  check: async () => undefined,
  open: () => undefined,
});

test('a ticket is taken once, and another text is none', () => {
  const tickets = openTickets(handWoundClock());
  const own = grant('a');
  const { text } = tickets.issue(own);
  assert.match(text, /^[\w-]{43}$/);
  for (const other of ['', 'x', `${text}A`, text.slice(1), text.toUpperCase()])
    assert.equal(tickets.take(other), undefined);
  assert.equal(tickets.take(text), own);
  assert.equal(tickets.take(text), undefined);
});

test('a ticket holds for thirty seconds, however the wall clock steps', () => {
  const clock = handWoundClock(1000);
  const tickets = openTickets(clock);
  const [first, second] = [tickets.issue(grant('a')), tickets.issue(grant('a'))];
  assert.equal(first.expiresAtMs, 31_000);
  clock.advance(29_999);
  assert.ok(tickets.take(first.text));
  clock.advance(1);
  assert.equal(tickets.take(second.text), undefined);
});

test('of one holder sixteen tickets hold, the newest; others keep theirs', () => {
  const tickets = openTickets(handWoundClock());
  const other = tickets.issue(grant('b'));
  const own = Array.from({ length: 20 }, () => tickets.issue(grant('a')));
  assert.deepEqual(
    own.map((t) => tickets.take(t.text) !== undefined),
    own.map((_, i) => i >= 4),
  );
  assert.ok(tickets.take(other.text));
});
