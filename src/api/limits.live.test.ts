/** Limits over real sockets: what an answer says about them, whom they are counted for, and that every slot comes back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { FAKE_BEARER, type FrontDoor, openFrontDoor } from './front-door.fixture.ts';

const PATIENT = { timeout: 60_000 };
const AUTH = { authorization: `Bearer ${FAKE_BEARER}` };
const HERE = { resource: { project: 'demo', environment: 'ace', enclave: 'open' }, label: '' } as const;

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(holds(), what);
}

const isIdle = (door: FrontDoor) => () => door.limits.inFlight().requests === 0;

test(
  'every limited answer says what is left, and a refusal which limit it was and when to come back',
  PATIENT,
  async (t) => {
    const limits = { token: { read: { perSecond: 0.5, burst: 3 } } };
    const door = await openFrontDoor(t, { limits, routes: { 'job.show': { locate: () => HERE, handle: () => ({}) } } });
    const ask = () => fetch(`${door.url}/beamway/v1/jobs/job_00000000000000000000`, { headers: AUTH });
    const first = await ask();
    assert.equal(first.status, 200);
    assert.equal(
      first.headers.get('ratelimit-policy'),
      '"address";q=10000;w=2, "token-read";q=3;w=6, "project-read";q=4000;w=2, "environment-read";q=20000;w=2',
    );
    assert.equal(first.headers.get('ratelimit'), '"token-read";r=2;t=2');
    await ask();
    await ask();
    const refused = await ask();
    assert.equal(refused.status, 429);
    assert.match(
      ((await refused.json()) as { detail: string }).detail,
      /0\.5 read requests a second from token tok_fake/,
    );
    const after = refused.headers.get('retry-after');
    assert.match(after ?? '', /^[12]$/);
    assert.equal(refused.headers.get('ratelimit'), `"token-read";r=0;t=${after}`);
  },
);

test('what is no operation is limited by address too', PATIENT, async (t) => {
  for (const path of ['/beamway/v1/openapi.json', '/nowhere', '/beamway/v1/jobs/%zz', '/beamway/v1/health']) {
    const door = await openFrontDoor(t, { limits: { address: { perSecond: 0.1, burst: 2 } } });
    const first = await fetch(door.url + path);
    assert.notEqual(first.status, 429);
    assert.equal(first.headers.get('ratelimit'), '"address";r=1;t=10', path);
    await fetch(door.url + path);
    const refused = await fetch(door.url + path);
    assert.equal(refused.status, 429, path);
    assert.match(refused.headers.get('retry-after') ?? '', /^([1-9]|10)$/);
    assert.equal(((await refused.json()) as { code: string }).code, 'rate-limited');
  }
});

test('clients behind a trusted proxy are told apart, and by nobody else’s word', PATIENT, async (t) => {
  const limits = { address: { perSecond: 0.1, burst: 1 } };
  const asked = async (door: FrontDoor, from: string): Promise<number> =>
    (await fetch(`${door.url}/beamway/v1/health`, { headers: { 'x-forwarded-for': from } })).status;
  const behind = await openFrontDoor(t, { limits, trustedProxies: ['127.0.0.0/8'] });
  assert.deepEqual([await asked(behind, '192.0.2.1'), await asked(behind, '192.0.2.2')], [200, 200]);
  assert.equal(await asked(behind, '203.0.113.77, 192.0.2.1'), 429, 'what a client wrote itself changes nothing');
  const open = await openFrontDoor(t, { limits });
  assert.deepEqual([await asked(open, '192.0.2.1'), await asked(open, '192.0.2.2')], [200, 429]);
});

test('a thousand requests whose clients go away give all their slots back', PATIENT, async (t) => {
  let handled = 0;
  let open: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const limits = { inFlight: { token: 1000, project: 1000, replica: 40, waitMs: 10_000 } };
  const handle = async (): Promise<object> => {
    handled += 1;
    await gate;
    return {};
  };
  const routes = { 'job.show': { locate: () => HERE, handle }, 'job.submit': { locate: () => HERE, handle } };
  const door = await openFrontDoor(t, { limits, routes });
  const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });
  t.after(() => agent.destroy());
  const show = { port: door.port, host: '127.0.0.1', path: '/beamway/v1/jobs/job_00000000000000000000', headers: AUTH };
  const submit = { ...show, method: 'POST', path: '/beamway/v1/jobs' };
  const json = { ...AUTH, 'content-type': 'application/json', 'content-length': '1000' };
  const asked = Array.from({ length: 1000 }, (_, i) => {
    // A third of them never sends its whole body.
    const one = i % 3 === 0 ? request({ ...submit, headers: json, agent }) : get({ ...show, agent });
    one.on('error', () => undefined);
    one.on('response', (answer) => answer.resume());
    if (i % 3 === 0) one.write('{');
    return one;
  });
  await until('all slots are taken', () => door.limits.inFlight().requests === 40 && handled > 0);
  for (const one of asked) one.destroy();
  open?.();
  await until('all slots are back', isIdle(door));
  const served = await fetch(`${door.url}${show.path}`, { headers: AUTH });
  assert.equal(served.status, 200);
});

test('who goes away keeps the slot until the work that was begun is done', PATIENT, async (t) => {
  const { promise, resolve } = Promise.withResolvers<object>();
  let handled = false;
  const handle = (): Promise<object> => {
    handled = true;
    return promise;
  };
  const door = await openFrontDoor(t, {
    limits: { inFlight: { token: 1 } },
    routes: { 'job.show': { locate: () => HERE, handle } },
  });
  const path = '/beamway/v1/jobs/job_00000000000000000000';
  const socket = connect({ port: door.port, host: '127.0.0.1' });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${FAKE_BEARER}\r\n\r\n`);
  await until('it is handled', () => handled);
  socket.destroy();
  await once(socket, 'close');
  const meanwhile = await fetch(door.url + path, { headers: AUTH });
  assert.equal(meanwhile.status, 429);
  assert.equal(((await meanwhile.json()) as { code: string }).code, 'too-many-in-flight');
  assert.equal(meanwhile.headers.get('retry-after'), '1');
  resolve({});
  await until('the slot is back', isIdle(door));
});

test('what throws, is refused or is cut off by draining gives its slot back', PATIENT, async (t) => {
  const { promise, resolve } = Promise.withResolvers<object>();
  let handled = 0;
  const door = await openFrontDoor(t, {
    limits: { inFlight: { token: 8 } },
    routes: {
      'job.list': {
        handle() {
          throw new Error('broken');
        },
      },
      'job.show': {
        locate: () => HERE,
        handle() {
          handled += 1;
          return promise;
        },
      },
    },
  });
  for (let i = 0; i < 20; i++) {
    assert.equal((await fetch(`${door.url}/beamway/v1/jobs`, { headers: AUTH })).status, 500);
    const bad = await fetch(`${door.url}/beamway/v1/jobs`, {
      method: 'POST',
      headers: { ...AUTH, 'content-type': 'application/json' },
      body: '{',
    });
    assert.equal(bad.status, 400);
  }
  const last = Array.from({ length: 8 }, () =>
    fetch(`${door.url}/beamway/v1/jobs/job_00000000000000000000`, { headers: AUTH }),
  );
  await until('they are handled', () => handled === 8);
  const closed = door.server.close();
  resolve({});
  for (const answer of await Promise.all(last)) assert.equal(answer.status, 200);
  await closed;
  assert.deepEqual(door.limits.inFlight(), { requests: 0, longPolls: 0 });
});
