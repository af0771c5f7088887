// What our authority signs: TLS of Node and openssl verify it for the node's addresses and for nothing else; what is no request is refused, never thrown.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { newRequest } from '../../dsn/certificate/node-certificate.ts';
import { makeAuthority, NODE_CERTIFICATE_DAYS, signNodeCertificate } from './certificates.ts';

const NOW = Date.now();
const authority = await makeAuthority('test', NOW);
const of = { node: 'dsn01', addresses: ['192.0.2.7', '2001:db8::7'], hostnames: ['dsn01.example.org'], nowMs: NOW };
const { request } = await newRequest('whoever');

test('a node’s certificate is for its addresses and names as the facility has them, whatever the request says', async () => {
  const signed = await signNodeCertificate(authority, request, of);
  const certificate = new X509Certificate(signed?.certificatePem ?? '');
  const ca = new X509Certificate(authority.certificatePem);
  assert.ok(certificate.checkIssued(ca) && certificate.verify(ca.publicKey) && ca.ca && !certificate.ca);
  assert.equal(certificate.subject, 'CN=dsn01');
  assert.equal(certificate.checkIP('192.0.2.7'), '192.0.2.7');
  assert.equal(certificate.checkIP('2001:db8::7'), '2001:db8::7');
  assert.equal(certificate.checkHost('dsn01.example.org'), 'dsn01.example.org');
  assert.equal(certificate.checkHost('whoever'), undefined);
  assert.equal(certificate.checkIP('192.0.2.8'), undefined);
  assert.equal((signed?.expiresAtMs ?? 0) - NOW, NODE_CERTIFICATE_DAYS * 86_400_000);
});

test('openssl takes the chain for a server', {
  skip: !existsSync('/usr/bin/openssl') && 'apt-get install openssl',
}, async () => {
  const place = mkdtempSync(join(tmpdir(), 'beamway-ca-'));
  try {
    const signed = await signNodeCertificate(authority, request, of);
    writeFileSync(join(place, 'ca.pem'), authority.certificatePem);
    writeFileSync(join(place, 'node.pem'), signed?.certificatePem ?? '');
    const said = execFileSync(
      '/usr/bin/openssl',
      [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-verify_ip',
        '192.0.2.7',
        '-CAfile',
        join(place, 'ca.pem'),
        join(place, 'node.pem'),
      ],
      { encoding: 'utf8' },
    );
    assert.match(said, /: OK/);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

test('a request that is changed is refused, or was changed where it says nothing; one that is none is refused', async () => {
  const body = request.split('\n').slice(1, -1).join('');
  const octets = Buffer.from(body.replace(/-.*$/, ''), 'base64');
  const pem = (der: Uint8Array): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  const keyOf = (certificate: string): string =>
    String(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'pem' }));
  const key = keyOf((await signNodeCertificate(authority, pem(octets), of))?.certificatePem ?? '');
  await fc.assert(
    fc.asyncProperty(fc.nat(octets.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ flip;
      const signed = await signNodeCertificate(authority, pem(changed), of);
      // Outside what is signed, a length may be written in more ways than one; the key is that of the request, or nothing is signed.
      if (signed !== undefined) assert.equal(keyOf(signed.certificatePem), key);
    }),
    { numRuns: 300 },
  );
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
      assert.equal(await signNodeCertificate(authority, text, of), undefined);
    }),
    { numRuns: 100 },
  );
  assert.equal(await signNodeCertificate(authority, 'x'.repeat(10_000), of), undefined);
});
