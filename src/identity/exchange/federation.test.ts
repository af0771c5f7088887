import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { YamlError } from '../../facility/index.ts';
import { exampleFacility } from '../token.fixture.ts';
import { FEDERATION_FILE, loadFederation } from './federation.ts';

const folder = mkdtempSync(join(tmpdir(), 'beamway-federation-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const facility = { ...exampleFacility, directory: folder };

const ENTRY = {
  name: 'campus',
  issuer: 'https://idp.example.org',
  jwksUri: 'https://idp.example.org/jwks',
  algorithms: ['RS256'],
  audience: 'us',
  grants: [{ project: 'demo', environments: ['ace'], scopes: ['job:read'] }],
};

/** YAML takes JSON. */
function faults(...issuers: object[]): string {
  writeFileSync(join(folder, FEDERATION_FILE), JSON.stringify({ issuers }));
  try {
    loadFederation(facility);
    return 'fine';
  } catch (thrown) {
    if (!(thrown instanceof YamlError)) throw thrown;
    assert.ok(thrown.faults.every((f) => f.file.endsWith(FEDERATION_FILE) && f.line >= 1));
    return thrown.message;
  }
}

test('the example believes nobody, and so does a facility without the file', () => {
  assert.deepEqual(loadFederation(exampleFacility).issuers, []);
  rmSync(join(folder, FEDERATION_FILE), { force: true });
  assert.deepEqual(loadFederation(facility), { audiences: [], issuers: [] });
});

test('an entry is taken with its defaults, a key file relative to the folder', () => {
  assert.equal(faults(ENTRY), 'fine');
  const { jwksUri: _, ...rest } = ENTRY;
  assert.equal(faults({ ...rest, jwksFile: 'keys.json' }), 'fine');
  const [issuer] = loadFederation(facility).issuers;
  assert.equal(issuer?.jwksFile, join(folder, 'keys.json'));
  assert.deepEqual([issuer?.maxAgeSeconds, issuer?.maxLifetimeSeconds, issuer?.person.claim], [600, 3600, 'sub']);
});

test('what would believe too much is refused with its place', () => {
  const grant = ENTRY.grants[0];
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ ...ENTRY, issuer: 'http://idp.example.org' }, /https URL/],
    [{ ...ENTRY, jwksUri: 'http://idp.example.org/jwks' }, /https URL/],
    [{ ...ENTRY, jwksUri: 'https://user:pass@idp.example.org/jwks' }, /https URL/],
    [{ ...ENTRY, jwksFile: 'both' }, /one of jwksUri and jwksFile/],
    [{ ...ENTRY, jwksUri: undefined }, /one of jwksUri and jwksFile/],
    [{ ...ENTRY, algorithms: ['HS256'] }, /algorithms/],
    [{ ...ENTRY, algorithms: ['none'] }, /algorithms/],
    [{ ...ENTRY, algorithms: [] }, /algorithms/],
    [{ ...ENTRY, audience: '' }, /audience/],
    [{ ...ENTRY, name: 'a@b' }, /name/],
    [{ ...ENTRY, maxLifetimeSeconds: 100_000 }, /maxLifetimeSeconds/],
    [{ ...ENTRY, grants: [] }, /grants/],
    [{ ...ENTRY, grants: [{ ...grant, project: 'nobody' }] }, /no project nobody/],
    [{ ...ENTRY, grants: [{ ...grant, environments: ['mars'] }] }, /no environment mars/],
    [{ ...ENTRY, grants: [{ ...grant, project: 'beamtime', environments: ['seeker'] }] }, /beamtime is not in seeker/],
    [{ ...ENTRY, grants: [{ ...grant, scopes: ['job:all'] }] }, /is no scope/],
    [{ ...ENTRY, grants: [{ ...grant, environments: ['ace', 'frontier'] }] }, /one enclave/],
    [{ ...ENTRY, grants: [{ ...grant, environments: ['frontier'] }] }, /second factor/],
    [{ ...ENTRY, grants: [{ ...grant, sources: ['everywhere'] }] }, /no address or CIDR/],
    [{ ...ENTRY, extra: 1 }, /extra/],
  ];
  for (const [entry, pattern] of wrong) assert.match(faults(entry), pattern);
  assert.match(faults(ENTRY, { ...ENTRY, issuer: 'https://other.example' }), /name is there twice/);
  assert.match(faults(ENTRY, { ...ENTRY, name: 'other' }), /issuer is there twice/);
  const strong = { ...ENTRY, requires: { amr: ['mfa'] }, grants: [{ ...grant, environments: ['frontier'] }] };
  assert.equal(faults(strong), 'fine');
});
