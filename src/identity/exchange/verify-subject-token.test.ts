// What is believed of another issuer's JWT, and what is not (OpenID Connect Core 3.1.3.7, RFC 8725).
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { UnsecuredJWT } from 'jose';
import {
  federationOf,
  type Issuer,
  NOW_SECONDS,
  newIssuer,
  OUR_NAME,
  type SignChange,
  stillClock,
  THEIR_ISSUER,
  trustedIssuer,
} from './exchange.fixture.ts';
import type { TrustedIssuer } from './federation.ts';
import { RefusedIdentity } from './refused-identity.ts';
import { type SubjectIdentity, verifySubjectToken } from './verify-subject-token.ts';

let issuer: Issuer;
before(async () => {
  issuer = await newIssuer();
});

const verify = (text: string, change: Partial<TrustedIssuer> = {}): Promise<SubjectIdentity> =>
  verifySubjectToken(
    { clock: stillClock(), federation: federationOf(trustedIssuer(change)), issuerKeys: issuer.keys },
    text,
  );

async function refusal(text: string, change: Partial<TrustedIssuer> = {}): Promise<RefusedIdentity | undefined> {
  try {
    await verify(text, change);
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof RefusedIdentity)) throw thrown;
    assert.equal(thrown.code, 'identity-refused');
    return thrown;
  }
}

test('a young token of a trusted issuer for us alone is believed', async () => {
  const found = await verify(await issuer.sign());
  assert.deepEqual(found.identity, { issuer: THEIR_ISSUER, subject: 'ada', verified: true });
  assert.equal(found.endsAt.getTime(), (NOW_SECONDS + 330) * 1000);
});

test('another issuer, algorithm, key, audience, type or time is not', async () => {
  const other = await newIssuer();
  const wrong: readonly (readonly [string, SignChange | string, Partial<TrustedIssuer>?])[] = [
    ['another issuer', { claims: { iss: 'https://evil.example' } }],
    ['the issuer with a slash', { claims: { iss: `${THEIR_ISSUER}/` } }],
    ['no issuer', { claims: { iss: undefined } }],
    ['signed by another', { key: other.privateKey }],
    ['alg none', new UnsecuredJWT({ iss: THEIR_ISSUER, aud: OUR_NAME, sub: 'ada' }).encode()],
    ['HS256 with the public key', { header: { alg: 'HS256' }, key: Buffer.from(issuer.keySetText) }],
    ['an algorithm that is not listed', {}, { algorithms: ['RS256'] }],
    ['an unknown key id', { header: { kid: 'k2' } }],
    ['an embedded key', { header: { kid: 'k2', jwk: { kty: 'EC' } }, key: other.privateKey }],
    ['an extension', { header: { crit: ['x'], x: 1 } }],
    ['another audience', { claims: { aud: 'others' } }],
    ['an audience beside us', { claims: { aud: [OUR_NAME, 'others'] } }],
    ['no audience', { claims: { aud: undefined } }],
    ['another type', {}, { typ: 'beamway-hop+jwt' }],
    ['no subject', { claims: { sub: undefined } }],
    ['no end', { claims: { exp: undefined } }],
    ['no begin', { claims: { iat: undefined } }],
    ['expired', { claims: { exp: NOW_SECONDS - 31 } }],
    ['too old', { claims: { iat: NOW_SECONDS - 631, exp: NOW_SECONDS + 300 } }],
    ['from the future', { claims: { iat: NOW_SECONDS + 60 } }],
    ['not valid yet', { claims: { nbf: NOW_SECONDS + 60 } }],
  ];
  for (const [what, given, change] of wrong) {
    const text =
      typeof given === 'string' ? given : 'crit' in (given.header ?? {}) ? await critical() : await issuer.sign(given);
    const refused = await refusal(text, change);
    assert.ok(refused !== undefined, what);
    assert.equal(refused.identity.verified, what === 'an audience beside us', what);
  }
  assert.equal(await refusal(await issuer.sign({ claims: { aud: [OUR_NAME] } })), undefined, 'one audience in a list');
});

/** jose signs no header that must be understood. */
async function critical(): Promise<string> {
  const [, payload, signature] = (await issuer.sign()).split('.');
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'k1', crit: ['x'], x: 1 })).toString('base64url');
  return `${header}.${payload}.${signature}`;
}

test('the strength of the sign-in is asked for where the table says so', async () => {
  const strong = { requires: { acr: ['mfa'], amr: ['otp', 'hwk'], maxAuthAgeMinutes: 10 } };
  const claims = { acr: 'mfa', amr: ['pwd', 'otp'], auth_time: NOW_SECONDS - 60 };
  assert.equal(await refusal(await issuer.sign({ claims }), strong), undefined);
  for (const weaker of [
    { acr: 'pwd' },
    { acr: undefined },
    { amr: ['pwd'] },
    { amr: { otp: true } },
    { auth_time: NOW_SECONDS - 601 },
    { auth_time: NOW_SECONDS + 600 },
    { auth_time: undefined },
    { auth_time: 'now' },
  ])
    assert.ok(await refusal(await issuer.sign({ claims: { ...claims, ...weaker } }), strong), JSON.stringify(weaker));
});

test('the same token is the same use, with a jti by that, without one by its signed text', async () => {
  const key = async (text: string) => (await verify(text)).replayKey.toString('hex');
  const one = await issuer.sign({ claims: { jti: 'x' } });
  assert.equal(await key(one), await key(await issuer.sign({ claims: { jti: 'x', sub: 'bob' } })));
  const plain = await issuer.sign({ claims: { jti: undefined } });
  const otherPlain = await issuer.sign({ claims: { jti: undefined, sub: 'bob' } });
  assert.notEqual(await key(plain), await key(otherPlain));
  // ECDSA: signed twice, the text before the signature is the same.
  const again = await issuer.sign({ claims: { jti: undefined } });
  assert.notEqual(plain, again);
  assert.equal(await key(plain), await key(again));
});

test('noise is refused, quoting nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.array(fc.base64String()).map((p) => p.join('.')),
      ),
      async (text) => {
        const refused = await refusal(text);
        assert.ok(refused !== undefined && (text.length < 8 || !refused.message.includes(text)));
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(await refusal('x'.repeat(5_000_000)));
});
