// The keys of a trusted issuer on a real HTTP server: kept, read again within bounds, refused when stale.
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { type HandWoundClock, handWoundClock } from '../../clock.ts';
import { type Issuer, newIssuer, trustedIssuer } from './exchange.fixture.ts';
import type { TrustedIssuer } from './federation.ts';
import { type IssuerKeys, openIssuerKeys, parseKeySet } from './issuer-keys.ts';

let asked = 0;
let answer: (response: ServerResponse) => void = (response) => response.end('{}');
const server = createServer((_request, response) => {
  asked += 1;
  answer(response);
});
let entry: TrustedIssuer;
let issuer: Issuer;
let clock: HandWoundClock;
let keys: IssuerKeys;

before(async () => {
  issuer = await newIssuer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { jwksFile: _, ...rest } = trustedIssuer();
  entry = { ...rest, jwksUri: `http://127.0.0.1:${port}/jwks` };
});
after(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  asked = 0;
  clock = handWoundClock();
  keys = openIssuerKeys({ clock, log: { warn: () => undefined } });
  answer = (response) => response.end(issuer.keySetText);
});

const broken = (response: ServerResponse): void => void response.writeHead(500).end('no');

test('they are read once, again after five minutes, and for an unknown key id at most once in ten seconds', async () => {
  await Promise.all([keys.of(entry, 'k1'), keys.of(entry, 'k1'), keys.of(entry, 'k1')]);
  await keys.of(entry, undefined);
  assert.equal(asked, 1);
  for (let i = 0; i < 20; i++) await keys.of(entry, `unknown${i}`);
  assert.equal(asked, 1, 'just read');
  clock.advance(10_000);
  for (let i = 0; i < 20; i++) await keys.of(entry, `unknown${i}`);
  assert.equal(asked, 2);
  clock.advance(299_999);
  await keys.of(entry, 'k1');
  assert.equal(asked, 2);
  clock.advance(1);
  await keys.of(entry, 'k1');
  assert.equal(asked, 3);
});

test('while the issuer does not answer the last keys hold for an hour, then what it signed is refused', async () => {
  await keys.of(entry, 'k1');
  answer = broken;
  clock.advance(3_600_000);
  await keys.of(entry, 'k1');
  clock.advance(10_000);
  await assert.rejects(keys.of(entry, 'k1'), /cannot be read now/);
  answer = (response) => response.end(issuer.keySetText);
  await assert.rejects(keys.of(entry, 'k1'), /cannot be read now/, 'tried a moment ago');
  clock.advance(10_000);
  await keys.of(entry, 'k1');
});

test('an answer that is a redirect, too large, no JSON, or holds no public key is no answer', async () => {
  const wrong: readonly ((response: ServerResponse) => void)[] = [
    broken,
    (r) => r.writeHead(302, { location: '/elsewhere' }).end(),
    (r) => r.end(JSON.stringify({ keys: [], padding: 'x'.repeat(70_000) })),
    (r) => r.end('<html>'),
    (r) => r.end('{"keys":[]}'),
    (r) => r.end(JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k1' }] })),
    (r) => r.destroy(),
  ];
  for (const way of wrong) {
    answer = way;
    const fresh = openIssuerKeys({ clock, log: { warn: () => undefined } });
    await assert.rejects(fresh.of(entry, 'k1'), /cannot be read now/);
  }
});

test('private keys and shared secrets in a key set are left out', () => {
  const {
    keys: [publicKey],
  } = JSON.parse(issuer.keySetText) as { keys: [object] };
  const mixed = {
    keys: [publicKey, { kty: 'oct', k: 'AA', kid: 'secret' }, { ...publicKey, d: 'AA', kid: 'private' }],
  };
  assert.deepEqual([...parseKeySet(JSON.stringify(mixed)).kids], ['k1']);
});
