/** Where the server goes: the pure decision, its invariants, and what is taken for a safe folder. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { EmbeddedError } from './embedded-error.ts';
import { chainOf, ensureFolder } from './folder.ts';
import { ourUser } from './os-user.ts';
import {
  canBeMeddledWith,
  canTraverse,
  decidePlace,
  decideSocketFolder,
  type FolderFacts,
  LONGEST_SOCKET_PATH_BYTES,
  placeName,
  placePrefix,
  SERVICES_ROOT,
  SOCKET_NAME,
} from './place.ts';

const root = { name: 'root', uid: 0, gid: 0 };
const postgres = { name: 'postgres', uid: 101, gid: 104 };
const alice = { name: 'alice', uid: 1000, gid: 1000 };
const folder = (path: string, mode: number, uid = 0, gid = 0): FolderFacts => ({ path, mode, uid, gid });
const open = [folder('/', 0o755), folder('/srv', 0o755), folder('/srv/state', 0o711)];
const stateId = '0123456789abcdef';
const asRoot = { us: root, service: postgres, stateId, servicesRoot: SERVICES_ROOT };

test('root keeps the data beside a state that the server can reach and nobody else can swap', () => {
  assert.deepEqual(decidePlace({ ...asRoot, chain: open }), { elsewhere: null, reason: 'beside-the-state' });
});

test('root puts the data into the services folder when any folder on the way is closed to the server', () => {
  for (const closed of open.keys()) {
    const chain = open.map((f, i) => (i === closed ? { ...f, mode: 0o700 } : f));
    const place = decidePlace({ ...asRoot, chain });
    assert.equal(place.reason, 'state-not-reachable');
    assert.equal(place.elsewhere, join(SERVICES_ROOT, placeName('/srv/state', stateId)));
  }
});

test('root puts the data into the services folder when others could swap a folder on the way', () => {
  const bad = [folder('/srv', 0o777), folder('/srv', 0o775, 0, 50), folder('/srv', 0o755, alice.uid)];
  for (const f of bad)
    assert.equal(
      decidePlace({ ...asRoot, chain: [...open.slice(0, 1), f, ...open.slice(2)] }).reason,
      'state-not-protected',
    );
  const sticky = [folder('/', 0o755), folder('/tmp', 0o1777), folder('/tmp/state', 0o711)];
  assert.equal(decidePlace({ ...asRoot, chain: sticky }).reason, 'beside-the-state');
});

test('without root the data are always beside the state', () => {
  const chain = [folder('/', 0o755), folder('/home', 0o755), folder('/home/alice', 0o700, alice.uid)];
  assert.equal(decidePlace({ ...asRoot, us: alice, service: alice, chain }).elsewhere, null);
});

test('a place beside the state is one that the server reaches and nobody else can swap, whatever the folders', () => {
  const facts = fc.record({
    path: fc.constant('/x'),
    uid: fc.constantFrom(0, postgres.uid, alice.uid),
    gid: fc.constantFrom(0, postgres.gid, alice.gid),
    mode: fc.integer({ min: 0, max: 0o1777 }),
  });
  fc.assert(
    fc.property(fc.array(facts, { minLength: 1, maxLength: 5 }), (chain) => {
      const { elsewhere } = decidePlace({ ...asRoot, chain });
      const sound = chain.every((f) => canTraverse(postgres, f) && !canBeMeddledWith(root, f));
      assert.equal(elsewhere === null, sound);
    }),
  );
});

test('a socket path never exceeds what a socket address holds', () => {
  const name = fc.stringMatching(/^[a-zé]{1,60}$/);
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.option(name, { nil: null }), (parts, runtime) => {
      const base = `/${parts.join('/')}`;
      const chosen = decideSocketFolder(base, runtime === null ? null : `/${runtime}`, stateId);
      if (chosen !== null) assert.ok(Buffer.byteLength(join(chosen, SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES);
      if (Buffer.byteLength(join(base, 'socket', SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES)
        assert.equal(chosen, join(base, 'socket'));
    }),
  );
  const longest = `/${'x'.repeat(107 - '/'.length - '/socket/'.length - SOCKET_NAME.length)}`;
  assert.equal(decideSocketFolder(longest, '/r', stateId), `${longest}/socket`);
  assert.equal(decideSocketFolder(`${longest}x`, '/r', stateId), `/r/socket-${stateId}`);
  assert.equal(decideSocketFolder(`${longest}x`, null, stateId), null);
});

test('states at one path share a prefix, and no two states share a place', () => {
  assert.ok(placeName('/a', 'aaaaaaaa1').startsWith(placePrefix('/a')));
  assert.notEqual(placeName('/a', 'aaaaaaaa'), placeName('/a', 'bbbbbbbb'));
  assert.notEqual(placePrefix('/a'), placePrefix('/b'));
});

test('a folder that is a link, of wrong mode or of another owner is refused, a sound one is kept', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'beamway-folder-'));
  t.after(() => rmSync(base, { recursive: true }));
  const us = ourUser();
  const path = join(base, 'x');
  ensureFolder(path, us, 0o711);
  ensureFolder(path, us, 0o711);
  assert.equal(chainOf(path).at(-1)?.mode, 0o711);
  chmodSync(path, 0o777);
  assert.throws(() => ensureFolder(path, us, 0o711), /mode 777/);
  chmodSync(path, 0o711);
  assert.throws(() => ensureFolder(path, { name: 'other', uid: us.uid + 1, gid: 1 }, 0o711), EmbeddedError);
  mkdirSync(join(base, 'real'));
  symlinkSync('real', join(base, 'link'));
  assert.throws(() => ensureFolder(join(base, 'link'), us, 0o755), /not a folder/);
});
