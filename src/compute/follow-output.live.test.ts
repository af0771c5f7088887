/** Following output: what is written while one follows, several attempts, a scheduler that is away. The scheduler is a fake. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HandWoundClock } from '../clock.ts';
import { type FollowQuery, followOutput, type OutputEvent, SchedulerError } from './index.ts';
import { problem, room } from './jobs.fixture.ts';

const attempt = (number: number, endedAtMs?: number) => ({
  attempt: number,
  startedAtMs: 1,
  placement: [],
  stdoutPath: '/o',
  stderrPath: '/e',
  ...(endedAtMs === undefined ? {} : { endedAtMs, outcome: 'completed' as const, exitCode: 0 }),
});

const said = (e: OutputEvent): string => {
  if (e.kind === 'output') return e.part.text;
  return e.kind === 'attempt' ? `[attempt ${e.attempt}]` : `[end ${e.attempt?.attempt ?? '-'} ${e.job.state}]`;
};

/** The next event, the clock moving on while there is none. */
async function next(events: AsyncGenerator<OutputEvent>, clock: HandWoundClock): Promise<string | undefined> {
  let came = false;
  const event = events.next().finally(() => {
    came = true;
  });
  while (!came) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    clock.advance(100);
  }
  const { value, done } = await event;
  return done === true ? undefined : said(value);
}

const query = (over: Partial<FollowQuery> = {}): FollowQuery => ({
  file: 'stdout',
  attempts: 'one',
  signal: new AbortController().signal,
  ...over,
});

test('what is written comes as it comes, and the end says how it ended', async (t) => {
  const { deps, submit, fake, look, clock } = await room(t);
  const job = await submit();
  const events = followOutput(deps, job.id, query());
  fake.set(job.id, { state: 'running', attempts: [attempt(1)] });
  fake.written.set('n0', 'one ');
  await look();
  assert.equal(await next(events, clock), 'one ');
  fake.written.set('n0', 'one two');
  assert.equal(await next(events, clock), 'two');
  fake.failWith = new SchedulerError('unavailable', 'away');
  const later = next(events, clock);
  await new Promise<void>((resolve) => setImmediate(resolve));
  fake.failWith = undefined;
  fake.written.set('n0', 'one two three');
  assert.equal(await later, ' three');
  fake.set(job.id, { state: 'completed', attempts: [attempt(1, 9)] });
  await look();
  assert.equal(await next(events, clock), '[end 1 completed]');
  assert.equal(await next(events, clock), undefined);
});

test('from a place on nothing is told twice; all attempts are followed where that is asked', async (t) => {
  const { deps, submit, fake, look, clock } = await room(t);
  const job = await submit();
  fake.written.set('n0', 'abc');
  fake.set(job.id, { state: 'running', attempts: [attempt(1, 5), attempt(2)] });
  await look();
  const one = followOutput(deps, job.id, query({ from: { attempt: 1, offset: 2 } }));
  assert.equal(await next(one, clock), 'c');
  assert.equal(await next(one, clock), '[end 1 running]');
  const all = followOutput(deps, job.id, query({ attempts: 'all' }));
  assert.equal(await next(all, clock), 'abc');
  assert.equal(await next(all, clock), '[attempt 2]');
  assert.equal(await next(all, clock), 'abc');
  fake.set(job.id, { state: 'queued', attempts: [attempt(1, 5), attempt(2, 7)] });
  await look();
  const third = next(all, clock);
  fake.set(job.id, { state: 'completed', attempts: [attempt(1, 5), attempt(2, 7), attempt(3, 8)] });
  await look();
  assert.equal(await third, '[attempt 3]');
  assert.equal(await next(all, clock), 'abc');
  assert.equal(await next(all, clock), '[end 3 completed]');
});

test('a job that never began ends without an attempt; one that is not there is not found; a signal ends it', async (t) => {
  const { deps, submit, fake, look, clock } = await room(t);
  const job = await submit();
  const stop = new AbortController();
  const waiting = followOutput(deps, job.id, query({ signal: stop.signal }));
  const first = next(waiting, clock);
  stop.abort();
  assert.equal(await first, undefined);
  fake.set(job.id, { state: 'cancelled' });
  await look();
  assert.equal(await next(followOutput(deps, job.id, query()), clock), '[end - cancelled]');
  await assert.rejects(followOutput(deps, 'job_none', query()).next(), problem('not-found'));
  const wrong = followOutput(deps, job.id, query({ from: { attempt: 4, offset: 0 } }));
  await assert.rejects(wrong.next(), problem('not-found'));
});
