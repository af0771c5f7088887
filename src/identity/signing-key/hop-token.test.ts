// What is taken for a hop token, and everything that only looks like one (RFC 8725).
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { CompactEncrypt, CompactSign, type CryptoKey, SignJWT, UnsecuredJWT } from 'jose';
import { Problem } from '../../problems.ts';
import { HOP_TYPE } from './mint-hop-token.ts';
import { type FakeKey, fakeKey, ISSUER } from './signing-key.fixture.ts';
import { type VerifyHopDeps, verifyHopToken } from './verify-hop-token.ts';

const NOW = 1_800_000_000;
const AUDIENCE = 'internal-services';
const CLAIMS = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'ada',
  jti: 'one',
  iat: NOW,
  nbf: NOW,
  exp: NOW + 60,
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scope: 'job:read',
  act: { sub: 'tok_parent' },
};

let ours: FakeKey;
let theirs: FakeKey;
let nowSeconds = NOW;
let asked = 0;
let deps: VerifyHopDeps;

before(async () => {
  ours = await fakeKey();
  theirs = await fakeKey();
  deps = {
    clock: { now: () => nowSeconds * 1000, monotonic: () => 0, after: () => () => undefined },
    keys: {
      async publicKey(kid) {
        asked += 1;
        return kid === ours.kid ? ours.publicKey : undefined;
      },
    },
    issuer: () => ISSUER,
  };
});

interface Change {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

function token({ claims = {}, header = {}, key = ours.privateKey }: Change = {}): Promise<string> {
  return new SignJWT({ ...CLAIMS, ...claims })
    .setProtectedHeader({ alg: 'Ed25519', kid: ours.kid, typ: HOP_TYPE, ...header })
    .sign(key);
}

async function codeOf(text: string, audience: string | undefined = AUDIENCE): Promise<string> {
  try {
    await verifyHopToken(deps, text, { audience });
    return 'accepted';
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    assert.ok(text.length < 40 || !thrown.message.includes(text.slice(0, 40)), 'the token is not quoted');
    return thrown.code;
  }
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test('a hop token of ours says who, through which token, where and what', async () => {
  const claims = await verifyHopToken(deps, await token(), { audience: AUDIENCE });
  assert.deepEqual(
    [claims.subject, claims.token, claims.project, claims.environments, claims.scopes],
    ['ada', 'tok_parent', 'demo', ['ace'], ['job:read']],
  );
});

test('another signature, key, issuer, audience, type or algorithm is refused', async () => {
  const secret = Buffer.from(ours.x, 'base64url');
  const wrong: readonly (readonly [string, string | Promise<string>, string])[] = [
    ['alg none', new UnsecuredJWT(CLAIMS).encode(), 'token-malformed'],
    [
      'alg none with our header',
      `${part({ alg: 'none', kid: ours.kid, typ: HOP_TYPE })}.${part(CLAIMS)}.`,
      'token-malformed',
    ],
    [
      'our alg, no signature',
      `${part({ alg: 'Ed25519', kid: ours.kid, typ: HOP_TYPE })}.${part(CLAIMS)}.`,
      'token-malformed',
    ],
    ['HS256 with the public key', token({ header: { alg: 'HS256' }, key: secret }), 'token-malformed'],
    ['the older name EdDSA', token({ header: { alg: 'EdDSA' } }), 'token-malformed'],
    ['signed by another issuer under our kid', token({ key: theirs.privateKey }), 'token-malformed'],
    ['the kid of another issuer', token({ header: { kid: theirs.kid }, key: theirs.privateKey }), 'token-unknown'],
    ['no kid', token({ header: { kid: undefined } }), 'token-malformed'],
    ['another type', token({ header: { typ: 'at+jwt' } }), 'token-malformed'],
    ['no type', token({ header: { typ: undefined } }), 'token-malformed'],
    ['another issuer', token({ claims: { iss: 'https://evil.example' } }), 'token-unknown'],
    ['another audience', token({ claims: { aud: 'others' } }), 'token-unknown'],
    ['two audiences', token({ claims: { aud: [AUDIENCE, 'others'] } }), 'token-malformed'],
    ['no act', token({ claims: { act: undefined } }), 'token-malformed'],
    ['no jti', token({ claims: { jti: undefined } }), 'token-malformed'],
  ];
  for (const [what, text, code] of wrong) assert.equal(await codeOf(await text), code, what);
});

test('a header that names or carries a key, or must be understood, is refused before any key is looked up', async () => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: theirs.x };
  const before = asked;
  for (const extra of [
    { jwk },
    { jku: 'https://evil.example/jwks' },
    { x5c: ['AA'] },
    { x5u: 'https://evil.example' },
  ]) {
    assert.equal(await codeOf(await token({ header: extra, key: theirs.privateKey })), 'token-malformed');
    assert.equal(await codeOf(await token({ header: extra })), 'token-malformed', 'even with our signature');
  }
  const signed = await token();
  const [, payload = '', signature = ''] = signed.split('.');
  const critical = part({ alg: 'Ed25519', kid: ours.kid, typ: HOP_TYPE, crit: ['exp'] });
  assert.equal(await codeOf(`${critical}.${payload}.${signature}`), 'token-malformed');
  const unencoded = new CompactSign(Buffer.from(JSON.stringify(CLAIMS))).setProtectedHeader({
    alg: 'Ed25519',
    kid: ours.kid,
    typ: HOP_TYPE,
    b64: true,
    crit: ['b64'],
  });
  assert.equal(await codeOf(await unencoded.sign(ours.privateKey)), 'token-malformed');
  assert.equal(asked, before);
});

test('something encrypted is refused, also to our own key as a password', async () => {
  const jwe = await new CompactEncrypt(Buffer.from(JSON.stringify(CLAIMS)))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: ours.kid, typ: HOP_TYPE })
    .encrypt(Buffer.from(ours.x, 'base64url'));
  assert.equal(await codeOf(jwe), 'token-malformed');
});

test('its time is bounded at both ends, five seconds of skew forgiven', async () => {
  const at = async (seconds: number): Promise<string> => {
    nowSeconds = NOW + seconds;
    const code = await codeOf(await token());
    nowSeconds = NOW;
    return code;
  };
  assert.equal(await at(-5), 'accepted');
  assert.equal(await at(-6), 'token-not-yet-valid');
  assert.equal(await at(64), 'accepted');
  assert.equal(await at(65), 'token-expired');
  const life = (claims: object) => token({ claims: { ...claims } }).then((text) => codeOf(text));
  assert.equal(await life({ exp: NOW + 300 }), 'accepted');
  assert.equal(await life({ exp: NOW + 301 }), 'token-malformed');
  assert.equal(await life({ iat: NOW + 100, exp: NOW + 200 }), 'token-not-yet-valid');
  assert.equal(await life({ exp: undefined }), 'token-malformed');
  assert.equal(await life({ exp: 'soon' }), 'token-malformed');
  assert.equal(await life({ exp: 1e300 }), 'token-malformed');
});

test('one changed character anywhere is refused', async () => {
  const text = await token();
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom(...'AZaz09-_.'), async (at, character) => {
      if (text[at] === character) return;
      const changed = text.slice(0, at) + character + text.slice(at + 1);
      // The last character of a part holds bits that stand for nothing; those texts are the same bytes.
      const same = changed
        .split('.')
        .every((p, i) => Buffer.from(p, 'base64url').equals(Buffer.from(text.split('.')[i] ?? '', 'base64url')));
      if (!same) assert.notEqual(await codeOf(changed), 'accepted');
    }),
    { numRuns: 300 },
  );
});

test('noise and huge texts are refused and nothing else happens', async () => {
  for (const text of [
    '',
    '.',
    '..',
    '...',
    'a.b.c',
    'x'.repeat(10_000_000),
    `${'x'.repeat(2000)}.${'y'.repeat(5000)}.z`,
  ])
    assert.equal(await codeOf(text), 'token-malformed', text.slice(0, 20));
  const anyPart = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.json().map((j) => Buffer.from(j).toString('base64url')),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anyPart, { maxLength: 6 }), async (parts) => {
      assert.notEqual(await codeOf(parts.join('.')), 'accepted');
    }),
    { numRuns: 500 },
  );
});
