/** The server itself over real sockets: what a request may look like, what is cut, and how it drains. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FAKE_BEARER, type FrontDoor, openFrontDoor } from './front-door.fixture.ts';

const QUICK = { headersMs: 250, requestMs: 500, checkMs: 40 };
const PATIENT = { timeout: 20_000 };
const DRIP_MS = 25;

interface Wire {
  readonly socket: Socket;
  /** All that came until the other end closed. */
  readonly received: Promise<string>;
}

async function dial(t: TestContext, door: FrontDoor, text = ''): Promise<Wire> {
  const socket = connect({ port: door.port, host: '127.0.0.1' });
  t.after(() => void socket.destroy());
  let all = '';
  socket.on('data', (data) => {
    all += data.toString('latin1');
  });
  socket.on('error', () => {}); // a cut connection is what many tests wait for
  const received = once(socket, 'close').then(() => all);
  await once(socket, 'connect');
  if (text !== '') socket.write(text);
  return { socket, received };
}

/** Writes one character now and then, until the connection is gone. */
function drip(t: TestContext, socket: Socket, text: string): void {
  let i = 0;
  const timer = setInterval(() => {
    if (socket.writable) socket.write(text[i++ % text.length] ?? '');
  }, DRIP_MS);
  t.after(() => clearInterval(timer));
}

const head = (text: string): string => `${text}\r\nHost: x\r\n`;
const statusOf = (received: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 0);
const codeOf = (received: string): string => /"code":"([a-z-]+)"/.exec(received)?.[1] ?? '';
const SUBMIT = {
  method: 'POST',
  headers: { authorization: `Bearer ${FAKE_BEARER}`, 'content-type': 'application/json' },
};

test('every answer has a request id and, where it is no success, is a problem document', PATIENT, async (t) => {
  const door = await openFrontDoor(t);
  const jobs = '/beamway/v1/jobs';
  const cases: readonly (readonly [string, RequestInit, number, string])[] = [
    ['/beamway/v1/health', {}, 200, ''],
    ['/nowhere', {}, 404, 'no-such-route'],
    ['/beamway/v1/health/', {}, 404, 'no-such-route'],
    [`${jobs}/${'x'.repeat(300)}`, {}, 400, 'malformed-request'],
    [`${jobs}/%zz`, {}, 400, 'malformed-request'],
    [jobs, { method: 'PUT' }, 405, 'method-not-allowed'],
    [`${jobs}/job_1`, { method: 'POST' }, 405, 'method-not-allowed'],
    [jobs, {}, 401, 'token-missing'],
    [jobs, { ...SUBMIT, body: '{"script":' }, 400, 'malformed-body'],
    [jobs, { ...SUBMIT, body: '' }, 400, 'malformed-body'],
    [jobs, { ...SUBMIT, body: '{"__proto__":{"a":1}}' }, 400, 'malformed-body'],
    [jobs, { ...SUBMIT, body: '[]' }, 400, 'invalid-request'],
    [jobs, { ...SUBMIT, body: JSON.stringify({ script: 'x'.repeat(1_100_000) }) }, 413, 'body-too-large'],
    ...['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'multipart/form-data'].map(
      (type) =>
        [
          jobs,
          { ...SUBMIT, headers: { ...SUBMIT.headers, 'content-type': type }, body: '{}' },
          415,
          'unsupported-media-type',
        ] as const,
    ),
  ];
  const ids = new Set<string>();
  for (const [path, init, status, code] of cases) {
    const answer = await fetch(door.url + path, init);
    const text = await answer.text();
    assert.equal(answer.status, status, `${path} ${text}`);
    const id = answer.headers.get('x-request-id') ?? '';
    assert.match(id, /^req_[0-9a-z]{20}$/, path);
    ids.add(id);
    if (status < 400) continue;
    assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json(;|$)/, path);
    const problem = JSON.parse(text) as { code: string; status: number; instance: string };
    assert.deepEqual([problem.code, problem.status, problem.instance], [code, status, `urn:beamway:request:${id}`]);
  }
  assert.equal(ids.size, cases.length);
});

test('a wrong method is told which ones are served', PATIENT, async (t) => {
  const door = await openFrontDoor(t);
  const allow = async (path: string): Promise<string | null> =>
    (await fetch(door.url + path, { method: 'PATCH' })).headers.get('allow');
  assert.equal(await allow('/beamway/v1/jobs'), 'GET, POST');
  assert.equal(await allow('/beamway/v1/jobs/job_1'), 'GET, DELETE');
  assert.equal(await allow('/beamway/v1/nothing'), null);
});

test('nobody unknown or too fast can make us read a body', PATIENT, async (t) => {
  const limits = { address: { perSecond: 2, burst: 2 } };
  const door = await openFrontDoor(t, { limits });
  const post = head('POST /beamway/v1/jobs HTTP/1.1');
  const body = 'Content-Type: application/json\r\nContent-Length: 900000\r\nConnection: close\r\n\r\n{';
  const unknown = await dial(t, door, `${post}Authorization: Bearer nobody\r\n${body}`);
  assert.equal(codeOf(await unknown.received), 'token-unknown');
  await fetch(`${door.url}/beamway/v1/health`);
  const asked = door.verified();
  const fast = await dial(t, door, `${post}Authorization: Bearer ${FAKE_BEARER}\r\n${body}`);
  const answer = await fast.received;
  assert.equal(statusOf(answer), 429);
  assert.match(answer, /\r\nretry-after: 1\r\n/i);
  assert.equal(door.verified(), asked, 'an address that is too fast is not even authenticated');
});

test('headers that never end are answered 408 and the connection is cut', PATIENT, async (t) => {
  const door = await openFrontDoor(t, { timeouts: QUICK });
  const slow = await dial(t, door, head('GET /beamway/v1/health HTTP/1.1'));
  drip(t, slow.socket, 'X-Slow: loris\r\n');
  const answer = await slow.received;
  assert.equal(statusOf(answer), 408);
  assert.equal(codeOf(answer), 'request-timeout');
});

test('a body that never ends is answered 408 and the connection is cut', PATIENT, async (t) => {
  const door = await openFrontDoor(t, { timeouts: QUICK });
  const lines = ['Content-Type: application/json', `Authorization: Bearer ${FAKE_BEARER}`, 'Content-Length: 100000'];
  const slow = await dial(t, door, `${head('POST /beamway/v1/jobs HTTP/1.1')}${lines.join('\r\n')}\r\n\r\n{`);
  drip(t, slow.socket, ' ');
  assert.equal(statusOf(await slow.received), 408);
});

test(
  'connections that say nothing, or half a request and no more, are all cut and leave nothing open',
  PATIENT,
  async (t) => {
    const door = await openFrontDoor(t, { timeouts: QUICK });
    const sockets = (): number => process.getActiveResourcesInfo().filter((r) => r === 'TCPSocketWrap').length;
    const before = sockets();
    const texts = ['', 'GET /beam', head('GET / HTTP/1.1'), 'POST /beamway/v1/jobs HTTP/1.1\r\nContent-Le'];
    const wires = await Promise.all(Array.from({ length: 80 }, (_, i) => dial(t, door, texts[i % texts.length])));
    assert.ok(sockets() >= before + 80);
    await Promise.all(wires.map((w) => w.received));
    while (sockets() > before) await new Promise((resolve) => setImmediate(resolve)); // the server's ends, closing now
  },
);

test('what is no HTTP is answered 400, headers that are too large 431', PATIENT, async (t) => {
  const door = await openFrontDoor(t);
  for (const [text, status, code] of [
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'malformed-request'],
    ['HELLO\r\n\r\n', 400, 'malformed-request'],
    [`${head('GET /beamway/v1/health HTTP/1.1')}Content-Length: -1\r\n\r\n`, 400, 'malformed-request'],
    [`${head('GET /beamway/v1/health HTTP/1.1')}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
  ] as const) {
    const answer = await (await dial(t, door, text)).received;
    assert.equal(statusOf(answer), status, text.slice(0, 40));
    assert.equal(codeOf(answer), code);
    assert.match(answer, /x-request-id: req_/);
  }
});

test('draining answers what is in flight, refuses what comes now, and then nothing listens', PATIENT, async (t) => {
  let entered = (): void => {};
  const isIn = new Promise<void>((resolve) => {
    entered = resolve;
  });
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const handle = async (): Promise<object> => {
    entered();
    await released;
    return { answered: true };
  };
  const door = await openFrontDoor(t, { routes: { 'facility.show': { handle } } });
  const headers = { authorization: `Bearer ${FAKE_BEARER}` };
  const inFlight = fetch(`${door.url}/beamway/v1/facility`, { headers });
  await isIn;
  const late = await dial(t, door, 'GET /beamway/v1/facility HTTP/1.1\r\n');
  const closed = door.server.close();
  await assert.rejects(fetch(`${door.url}/beamway/v1/health`), 'a new connection is refused');
  late.socket.write(`Host: x\r\nAuthorization: Bearer ${FAKE_BEARER}\r\n\r\n`);
  const refused = await late.received;
  assert.equal(statusOf(refused), 503);
  assert.equal(codeOf(refused), 'draining');
  assert.match(refused, /retry-after: 1\r\n/i);
  release();
  const answer = await inFlight;
  assert.deepEqual([answer.status, await answer.json()], [200, { answered: true }]);
  await closed;
});

test('draining wakes long polls, which answer with what is', PATIENT, async (t) => {
  let entered = (): void => {};
  const isIn = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const route = {
    handle: async ({ signal }: { readonly signal: AbortSignal }) => {
      entered();
      if (!signal.aborted) await once(signal, 'abort');
      return { state: 'pending' };
    },
  };
  const door = await openFrontDoor(t, { routes: { 'stream.show': route } });
  const headers = { authorization: `Bearer ${FAKE_BEARER}` };
  const poll = fetch(`${door.url}/beamway/v1/streams/str_1?waitSeconds=30`, { headers });
  await isIn;
  await door.server.close();
  const answer = await poll;
  assert.deepEqual([answer.status, await answer.json()], [200, { state: 'pending' }]);
});

test('a client that goes away ends its own long poll', PATIENT, async (t) => {
  let aborted = (): void => {};
  const wasAborted = new Promise<void>((resolve) => {
    aborted = resolve;
  });
  const gone = new AbortController();
  const route = {
    handle: async ({ signal }: { readonly signal: AbortSignal }) => {
      signal.addEventListener('abort', aborted);
      gone.abort();
      await wasAborted;
      return {};
    },
  };
  const door = await openFrontDoor(t, { routes: { 'stream.show': route } });
  const headers = { authorization: `Bearer ${FAKE_BEARER}` };
  await assert.rejects(fetch(`${door.url}/beamway/v1/streams/str_1`, { headers, signal: gone.signal }));
  await wasAborted;
});

test('half-open connections do not hold up draining', PATIENT, async (t) => {
  const door = await openFrontDoor(t);
  const half = `${head('POST /beamway/v1/jobs HTTP/1.1')}Content-Type: application/json\r\nAuthorization: Bearer ${FAKE_BEARER}\r\nContent-Length: 99\r\n\r\n{`;
  const wires = await Promise.all(['', 'GET /beamw', head('GET / HTTP/1.1'), half].map((text) => dial(t, door, text)));
  await fetch(`${door.url}/beamway/v1/health`); // by now the others are accepted
  await door.server.close();
  await Promise.all(wires.map((w) => w.received));
});
