import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type ClaimRequest, type ClaimVerdict, openClaimServer } from './claim-server.ts';

const GRANTED: ClaimVerdict = {
  kind: 'granted',
  answer: {
    role: 'consumer',
    endpoint: 'tcp://127.0.0.1:1',
    username: 'u',
    password: 'p',
    delivery: 'redeliver',
    authority: null,
  },
};

async function opened(t: TestContext, verdict: ClaimVerdict = GRANTED, port = 0) {
  const asked: ClaimRequest[] = [];
  const server = await openClaimServer({ host: '127.0.0.1', port }, (request) => {
    asked.push(request);
    return verdict;
  });
  t.after(() => server.close());
  return { ...server, asked };
}

/** Says `octets` on a fresh connection; gives all that came back until the other side closed it. */
async function converse(url: string, octets: string | Buffer): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  socket.on('error', () => undefined);
  socket.write(octets);
  await once(socket, 'close');
  return text;
}

const GOOD = JSON.stringify({ claim: 'secret', job: 'job_a', attempt: 1 });
const post = (url: string, body: string): Promise<Response> => fetch(url, { method: 'POST', body });

test('each verdict has its status', async (t) => {
  const granted = await opened(t);
  const answer = await post(granted.url, GOOD);
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), GRANTED.answer);
  assert.deepEqual(granted.asked, [{ claim: 'secret', job: 'job_a', attempt: 1 }]);
  assert.equal((await post((await opened(t, { kind: 'unknown' })).url, GOOD)).status, 404);
  const refused = await post((await opened(t, { kind: 'refused', reason: 'why' })).url, GOOD);
  assert.equal(refused.status, 403);
  assert.deepEqual(await refused.json(), { detail: 'why' });
});

test('only POST /claim is served', async (t) => {
  const { url, asked } = await opened(t);
  assert.equal((await fetch(url)).status, 404);
  assert.equal((await fetch(url, { method: 'PUT', body: GOOD })).status, 404);
  assert.equal((await post(`${url}/more`, GOOD)).status, 404);
  assert.equal((await post(`${url}?x=1`, GOOD)).status, 404);
  assert.deepEqual(asked, []);
});

test('what is no claim is answered 400 and never looked up', async (t) => {
  const { url, asked } = await opened(t);
  for (const body of [
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"claim":"x","job":"j","attempt":0}',
    '{"claim":"x","job":"j","attempt":1.5}',
    '{"claim":"","job":"j","attempt":1}',
    GOOD.replace('}', ',"more":1}'),
  ])
    assert.equal((await post(url, body)).status, 400, body);
  assert.equal((await post(url, JSON.stringify({ claim: 'x'.repeat(257), job: 'j', attempt: 1 }))).status, 400);
  assert.deepEqual(asked, []);
});

test('an oversized body is refused before it is read whole, and the connection closed', async (t) => {
  const { url, asked } = await opened(t);
  const head = 'POST /claim HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n';
  assert.match(await converse(url, head + 'x'.repeat(5000)), /^HTTP\/1\.1 413 /);
  const chunk = `1388\r\n${'x'.repeat(5000)}\r\n`;
  assert.match(
    await converse(url, `POST /claim HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`),
    /^HTTP\/1\.1 413 /,
  );
  assert.deepEqual(asked, []);
});

test('whatever octets arrive, nothing is granted and the next one is served', async (t) => {
  const { url, asked } = await opened(t);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (octets) => {
      const text = await converse(url, Buffer.concat([octets, Buffer.from('\r\n\r\n\0')]));
      assert.doesNotMatch(text, /^HTTP\/1\.1 200/);
    }),
    { numRuns: 40 },
  );
  assert.deepEqual(asked, []);
  assert.equal((await post(url, GOOD)).status, 200);
});

test('the port of before is taken again where it is free, another one where it is not', async (t) => {
  const first = await openClaimServer({ host: '127.0.0.1', port: 0 }, () => GRANTED);
  const port = Number(new URL(first.url).port);
  const beside = await opened(t, GRANTED, port);
  assert.notEqual(beside.url, first.url);
  await first.close();
  assert.equal((await opened(t, GRANTED, port)).url, first.url);
});
