import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HandWoundClock, handWoundClock } from '../clock.ts';
import type { Caller, SessionCaller } from '../identity/index.ts';
import { LIMIT_CLASSES, limitRulesSchema, memorySource, openLeases } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { limitClassOf, OPERATIONS, type Operation } from './contract/index.ts';
import type { AppliedLimit } from './limit-headers.ts';
import { type RequestLimits, requestLimits } from './limits.ts';

const token = (id: string, project = 'demo'): Caller => ({
  kind: 'token',
  id,
  subject: 'ada',
  project,
  enclave: 'open',
  environments: ['ace'],
  scopes: [],
  purpose: '',
  classification: 'public',
});
const session: SessionCaller = {
  kind: 'session',
  id: 'ses',
  subject: 'eve',
  roles: ['administrator'],
  projects: [],
  assurance: { methods: ['oidc'], factorAt: null },
};
const READ = OPERATIONS['job.list'];
const SUBMIT = OPERATIONS['job.submit'];

function limitsOf(rules: object): { readonly limits: RequestLimits; readonly clock: HandWoundClock } {
  const clock = handWoundClock();
  const source = memorySource(() => clock.monotonic());
  const leases = openLeases({ source, clock, log: { warn: () => undefined }, shareWhenAway: 1 });
  return { limits: requestLimits({ rules: limitRulesSchema.parse(rules), leases, clock }), clock };
}

const refusedFor =
  (about: RegExp) =>
  (thrown: unknown): boolean =>
    thrown instanceof Problem &&
    thrown.code === 'rate-limited' &&
    (thrown.extras.retryAfterSeconds ?? 0) >= 1 &&
    about.test(thrown.message);
const call = (caller: Caller, operation: Operation, limited: AppliedLimit[] = []) => ({ caller, operation, limited });

test('each address has its own share, and comes back when it was told to', () => {
  const { limits, clock } = limitsOf({ address: { perSecond: 0.5, burst: 2 } });
  limits.address('127.0.0.1');
  limits.address('127.0.0.1');
  assert.throws(() => limits.address('127.0.0.1'), refusedFor(/0\.5 requests a second from address 127\.0\.0\.1/));
  limits.address('127.0.0.2');
  clock.advance(2000);
  limits.address('127.0.0.1');
});

test('classes of a token are limited apart, and one token does not use up another’s share', async () => {
  const { limits } = limitsOf({
    token: { read: { perSecond: 1, burst: 2 }, submit: { perSecond: 1, burst: 1 } },
  });
  const asks = async (caller: Caller, operation: Operation): Promise<void> => limits.caller(call(caller, operation));
  await asks(token('a'), SUBMIT);
  await assert.rejects(asks(token('a'), SUBMIT), refusedFor(/submit requests a second from token a/));
  await asks(token('a'), READ);
  await asks(token('a'), READ);
  await assert.rejects(asks(token('a'), READ), refusedFor(/read requests a second from token a/));
  await asks(token('b'), SUBMIT);
});

test('the tokens of a project share its limit; a project may have one of its own', async () => {
  const { limits } = limitsOf({
    project: { read: { perSecond: 1, burst: 2 } },
    projects: { big: { read: { perSecond: 1, burst: 4 } } },
  });
  const asks = async (caller: Caller): Promise<void> => limits.caller(call(caller, READ));
  await asks(token('a'));
  await asks(token('b'));
  await assert.rejects(asks(token('c')), refusedFor(/read requests a second from project demo/));
  for (const id of ['a', 'b', 'c', 'd']) await asks(token(id, 'big'));
  await assert.rejects(asks(token('e', 'big')), refusedFor(/project big/));
});

test('an environment counts once it is known, and a project for who acts on several', async () => {
  const { limits } = limitsOf({
    environment: { read: { perSecond: 1, burst: 2 } },
    project: { submit: { perSecond: 1, burst: 1 } },
  });
  const about = async (of: ReturnType<typeof call>, resource: object): Promise<void> => limits.located(of, resource);
  await about(call(token('a'), READ), { project: 'demo', environment: 'ace' });
  await about(call(token('b'), READ), { project: 'beamtime', environment: 'ace' });
  await assert.rejects(about(call(token('a'), READ), { environment: 'ace' }), refusedFor(/environment ace/));
  await about(call(token('a'), READ), { environment: 'odo' });
  await about(call(token('a'), READ), {});
  await about(call(session, SUBMIT), { project: 'demo' });
  await assert.rejects(about(call(session, SUBMIT), { project: 'demo' }), refusedFor(/project demo/));
});

test('what each limit has left is noted for the headers', async () => {
  const { limits } = limitsOf({
    token: { read: { perSecond: 1, burst: 5 } },
    project: { read: { perSecond: 1, burst: 9 } },
  });
  const limited: AppliedLimit[] = [];
  await limits.caller(call(token('a'), READ, limited));
  assert.deepEqual(
    limited.map(({ of, left }) => [of.name, left]),
    [
      ['token-read', 4],
      ['project-read', 8],
    ],
  );
});

test('requests in flight are capped by token and project, and long polls apart from them', () => {
  const { limits } = limitsOf({
    inFlight: { token: 2, project: 3, replica: 9 },
    longPolls: { token: 1 },
    projects: { big: { inFlight: 4 } },
  });
  const enter = (id: string, project?: string) => limits.slot(call(token(id, project), READ));
  const first = enter('a');
  enter('a');
  const refusedBy = (about: RegExp) => (thrown: unknown) =>
    thrown instanceof Problem && thrown.code === 'too-many-in-flight' && about.test(thrown.message);
  assert.throws(() => enter('a'), refusedBy(/token a may have 2 requests/));
  enter('b');
  assert.throws(() => enter('c'), refusedBy(/project demo may have 3 requests/));
  for (const id of ['a', 'b', 'c', 'd']) enter(`big-${id}`, 'big');
  assert.throws(() => enter('big-e', 'big'), refusedBy(/project big may have 4/));
  limits.slot(call(token('a'), OPERATIONS['stream.show']));
  assert.throws(
    () => limits.slot(call(token('a'), OPERATIONS['stream.show'])),
    refusedBy(/token a may have 1 long polls/),
  );
  first?.leave();
  assert.deepEqual(limits.inFlight(), { requests: 6, longPolls: 1 });
  enter('a');
});

test('a streaming node is not limited: its requests are ours', async () => {
  const one = { perSecond: 1, burst: 1 };
  const { limits } = limitsOf({ token: { 'long-poll': one }, longPolls: { token: 1 } });
  const node = call({ kind: 'node', id: 'n', subject: 'dsn01' }, OPERATIONS['node.sync']);
  for (let i = 0; i < 5; i++) {
    await limits.caller(node);
    assert.equal(limits.slot(node), undefined);
  }
});

test('every operation is of a class that has limits, and makers of bearers, streams and jobs of their own', () => {
  for (const operation of Object.values<Operation>(OPERATIONS))
    assert.ok(LIMIT_CLASSES.includes(limitClassOf(operation)), operation.id);
  const ofClass = (limitClass: string): string[] =>
    Object.values<Operation>(OPERATIONS)
      .filter((o) => limitClassOf(o) === limitClass)
      .map((o) => o.id);
  for (const id of ['token.mint', 'self.delegate', 'self.renew', 'self.rotate'])
    assert.ok(ofClass('mint').includes(id));
  assert.deepEqual(ofClass('stream'), ['stream.create', 'stream.extend', 'stream.set', 'stream.credential']);
  assert.deepEqual(ofClass('submit'), ['job.submit', 'run.create']);
});

test('a token from where it may not be used is limited apart: neither the token’s share nor its project’s is touched', async () => {
  const slow = { read: { perSecond: 1, burst: 2 } };
  const { limits, clock } = limitsOf({ token: slow, project: slow });
  const stolen = (id: string, limited: AppliedLimit[] = []): void => limits.wrongSource({ caller: token(id), limited });
  for (let i = 0; i < 20; i++) stolen('a');
  const limited: AppliedLimit[] = [];
  assert.throws(
    () => stolen('a', limited),
    refusedFor(/1 requests a second from token a from where it may not be used/),
  );
  assert.deepEqual(
    limited.map((l) => [l.of.name, l.left, l.refusedForSeconds]),
    [['wrong-source', 0, 1]],
  );
  stolen('b');
  clock.advance(1000);
  stolen('a');
  assert.throws(() => stolen('a'), refusedFor(/wrong|where/));
  await limits.caller(call(token('a'), READ));
  await limits.caller(call(token('a'), READ));
});
