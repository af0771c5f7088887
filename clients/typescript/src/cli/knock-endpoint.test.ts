// What a person is told, for each way in which an endpoint may be wrong. The right ways stand in test/flows/stream-doctor.live.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, test } from 'node:test';
import { knock, type Step } from './knock-endpoint.ts';

async function playing(answer: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    answer(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

async function told(endpoint: string): Promise<readonly [boolean, Step | undefined]> {
  const steps: Step[] = [];
  const well = await knock({ endpoint, username: 'u', password: 'p' }, (step) => void steps.push(step));
  return [well, steps.at(-1)];
}

test('no endpoint, no name and nobody there are told apart', async () => {
  for (const [endpoint, step, words] of [
    ['not an endpoint', 'name', /no endpoint/],
    ['ftp://127.0.0.1:1', 'name', /no endpoint/],
    ['redis://no-such-host.invalid:6379', 'name', /has no address here/],
    ['tcp://127.0.0.1:1', 'connection', /nobody listens at 127\.0\.0\.1:1/],
  ] as const) {
    const [well, last] = await told(endpoint);
    assert.ok(
      !well && last?.outcome === 'failed' && last.step === step && words.test(last.detail),
      `${endpoint}: ${last?.detail}`,
    );
  }
});

const zmtp = Buffer.alloc(64);
zmtp[0] = 0xff;
zmtp[9] = 0x7f;
zmtp[10] = 3;
const greeting = (mechanism: string): Buffer => {
  const octets = Buffer.from(zmtp);
  octets.write(mechanism, 12, 'latin1');
  return octets;
};

for (const [what, scheme, answer, words] of [
  ['who hangs up', 'redis', (s: net.Socket) => void s.destroy(), /closed|cut/],
  [
    'HTTP in place of Redis',
    'redis',
    (s: net.Socket) => void s.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    /does not speak Redis/,
  ],
  [
    'a refusal of Redis',
    'redis',
    (s: net.Socket) => void s.write('-WRONGPASS user name or password is wrong\r\n'),
    /refused: WRONGPASS/,
  ],
  ['Redis in place of ZMTP', 'tcp', (s: net.Socket) => void s.write('-ERR\r\n'), /does not speak ZMTP/],
  ['a stream that admits by address', 'tcp', (s: net.Socket) => void s.write(greeting('NULL')), /admits by address/],
  [
    'a refusal of ZMTP',
    'tcp',
    (s: net.Socket) => {
      const reason = 'the credential has expired';
      s.write(greeting('PLAIN'));
      s.write(
        Buffer.concat([
          Buffer.of(0x04, 7 + reason.length, 5),
          Buffer.from('ERROR'),
          Buffer.of(reason.length),
          Buffer.from(reason),
        ]),
      );
    },
    /refused: the credential has expired/,
  ],
] as const)
  test(`${what} is told`, async () => {
    const port = await playing(answer);
    const [well, last] = await told(`${scheme}://127.0.0.1:${port}`);
    assert.ok(!well && last?.outcome === 'failed' && words.test(last.detail), last?.detail);
  });
