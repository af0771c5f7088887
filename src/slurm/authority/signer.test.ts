// The signer's socket: a token for whom its list and the Unix database allow, and nothing for anything else that may be written to it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { type Clock, handWoundClock, systemClock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';
import { mintJwt } from './mint-jwt.ts';
import { openSigner, type SignerOptions } from './signer.ts';
import { signerClient } from './signer-client.ts';
import type { UnixDatabase } from './unix-database.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-signer-'));
const key = Buffer.alloc(32, 7);
const open: { close(): Promise<void> }[] = [];
after(async () => {
  for (const signer of open) await signer.close();
  rmSync(place, { recursive: true, force: true });
});

const USERS: Readonly<Record<string, number>> = { root: 0, slurm: 64030, alice: 2001, bob: 2002, daemon: 1 };
const unix: UnixDatabase = {
  async user(name) {
    if (name === 'broken') throw new SlurmFailure({ kind: 'unavailable', message: 'away' });
    const uid = Object.hasOwn(USERS, name) ? USERS[name] : undefined;
    return uid === undefined ? undefined : { name, uid, gid: uid };
  },
  userOf: async () => undefined,
  group: async () => undefined,
  groupOf: async () => undefined,
  primaryMembers: async () => [],
};
let serial = 0;
const lines: string[] = [];
const note = (fields: object, text: string): void => void lines.push(JSON.stringify({ ...fields, text }));

async function signer(more: Partial<SignerOptions> = {}): Promise<string> {
  const socket = join(place, `s${++serial}`);
  open.push(
    await openSigner({
      socket,
      key,
      users: ['root', 'slurm', 'daemon', 'alice', 'gone', 'broken'],
      lifetimeSeconds: 60,
      perMinute: 10_000,
      unix,
      clock: systemClock,
      log: { info: note, warn: note },
      ...more,
    }),
  );
  return socket;
}

/** What comes back until the other end closes. */
function say(socket: string, parts: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const end = connect(socket);
    end.setEncoding('utf8');
    end.on('data', (part: string) => {
      text += part;
    });
    end.on('error', () => undefined);
    end.on('close', () => resolve(text));
    for (const part of parts) end.write(part);
  });
}
const askFor = async (socket: string, user: unknown): Promise<Record<string, unknown>> =>
  JSON.parse(await say(socket, [`${JSON.stringify({ user })}\n`])) as Record<string, unknown>;

test('a token is HS256 over the key’s bytes with exp, iat and sun, and lives 60 s at most', async () => {
  const { token, expiresAtMs } = mintJwt(key, { user: 'alice', nowMs: 1_700_000_000_900, lifetimeSeconds: 30 });
  const [head = '', body = '', mark] = token.split('.');
  assert.deepEqual(JSON.parse(Buffer.from(head, 'base64url').toString()), { alg: 'HS256', typ: 'JWT' });
  assert.deepEqual(JSON.parse(Buffer.from(body, 'base64url').toString()), {
    exp: 1_700_000_030,
    iat: 1_700_000_000,
    sun: 'alice',
  });
  assert.equal(mark, createHmac('sha256', key).update(`${head}.${body}`).digest('base64url'));
  assert.equal(expiresAtMs, 1_700_000_030_000);
  const clock: Clock = { ...handWoundClock(5_000), after: systemClock.after };
  const minted = await askFor(await signer({ lifetimeSeconds: 3600, clock }), 'alice');
  assert.equal(minted['expiresAtMs'], 65_000);
});

test('the socket is for owner and group alone', async () => {
  assert.equal(statSync(await signer()).mode & 0o777, 0o660);
});

test('never for root, slurm, a system user, one who is not there or not on the list, whatever the list says', async () => {
  const socket = await signer();
  assert.ok('token' in (await askFor(socket, 'alice')));
  for (const user of [
    'root',
    'slurm',
    'daemon',
    'gone',
    'bob',
    'ALICE',
    'alice ',
    'alice\0',
    '',
    '__proto__',
    7,
    null,
    ['alice'],
    undefined,
  ])
    assert.deepEqual(Object.keys(await askFor(socket, user)), ['refused'], String(user));
  assert.deepEqual(Object.keys(await askFor(socket, 'broken')), ['unavailable']);
});

test('a rate in a minute, refused requests counted too; the log names users and never a token', async () => {
  const hand = handWoundClock();
  const clock: Clock = { ...hand, after: systemClock.after };
  const socket = await signer({ perMinute: 3, clock });
  lines.length = 0;
  await askFor(socket, 'bob');
  const first = await askFor(socket, 'alice');
  await askFor(socket, 'alice');
  assert.deepEqual(await askFor(socket, 'alice'), { unavailable: 'too many tokens in a minute' });
  hand.advance(60_001);
  assert.ok('token' in (await askFor(socket, 'alice')));
  assert.equal(lines.filter((l) => l.includes('minted') && l.includes('alice')).length, 3);
  const signature = String(first['token']).split('.')[2] ?? '';
  assert.ok(signature.length > 20 && lines.every((l) => !l.includes(signature)));
});

test('a line in pieces is read, one that is too long or never ends is cut off', async () => {
  const socket = await signer();
  assert.match(await say(socket, ['{"us', 'er":"al', 'ice"}', '\n']), /"token"/);
  assert.equal(await say(socket, ['x'.repeat(5000)]), '');
  assert.equal(await say(socket, [`{"user":"alice","x":"${'x'.repeat(100_000)}"}\n`]), '');
  const hand = handWoundClock();
  const slow = await signer({ clock: hand });
  const cut = say(slow, ['{"user":']);
  const advance = setInterval(() => hand.advance(2001), 20);
  assert.equal(await cut, '');
  clearInterval(advance);
});

test('one request a connection: what follows the first line is not answered', async () => {
  const twice = await say(await signer(), ['{"user":"alice"}\n{"user":"alice"}\n']);
  assert.equal(twice.trim().split('\n').length, 1);
});

test('whatever bytes come, no token for anybody but who is on the list, and it goes on', async () => {
  const socket = await signer({ perMinute: 100_000 });
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('root', 'slurm', 'bob', 'alice\n', '{"user":"root"}'),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 5000 }).map((b) => Buffer.from(b)),
        fc.json().map(Buffer.from),
        word.map((user) => Buffer.from(JSON.stringify({ user }))),
      ),
      async (bytes) => {
        const text = await say(socket, [bytes, '\n']);
        assert.ok(text === '' || /^\{"refused":/.test(text), text);
      },
    ),
    { numRuns: 200 },
  );
  assert.ok('token' in (await askFor(socket, 'alice')));
});

test('hundreds of idle connections do not make it fall, and it answers again when they are gone', async () => {
  const socket = await signer();
  const idle = Array.from({ length: 300 }, () => connect(socket).on('error', () => undefined));
  await Promise.all(idle.map((s) => new Promise((resolve) => s.once('connect', resolve).once('close', resolve))));
  for (const s of idle) s.destroy();
  for (;;) {
    const text = await say(socket, ['{"user":"alice"}\n']);
    if (text.includes('"token"')) break;
  }
});

test('the client keeps a token until ten seconds before its end and asks once for many', async () => {
  const hand = handWoundClock(1_000_000);
  const clock: Clock = { ...hand, after: systemClock.after };
  lines.length = 0;
  const { token } = signerClient(await signer({ clock }), clock);
  const all = await Promise.all(Array.from({ length: 50 }, () => token('alice')));
  assert.equal(new Set(all).size, 1);
  const minted = (): number => lines.filter((l) => l.includes('a token was minted')).length;
  assert.equal(minted(), 1);
  hand.advance(49_000);
  await token('alice');
  assert.equal(minted(), 1);
  hand.advance(2000);
  assert.notEqual(await token('alice'), all[0]);
  assert.equal(minted(), 2);
});

test('the client: refused is refused, away, silent or babbling is unavailable', async () => {
  const failure = (kind: string) => (e: unknown) => e instanceof SlurmFailure && e.kind === kind;
  const { token } = signerClient(await signer(), systemClock);
  await assert.rejects(token('root'), failure('refused'));
  await assert.rejects(token('broken'), failure('unavailable'));
  await assert.rejects(signerClient(join(place, 'nobody-there'), systemClock).token('alice'), failure('unavailable'));
  for (const answer of ['', 'hello\n', '{"token":5}\n', '{}\n', 'x'.repeat(20_000)]) {
    const path = join(place, `fake${++serial}`);
    const server = createServer(
      (s) =>
        void s
          .on('error', () => undefined)
          .resume()
          .end(answer),
    );
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await assert.rejects(signerClient(path, systemClock).token('alice'), failure('unavailable'));
    await new Promise((resolve) => server.close(resolve));
  }
});
