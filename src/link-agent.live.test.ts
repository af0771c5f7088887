/** `admin slurm-link` on a state folder whose system does not run: the file, the log, and what --replace ends. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordsPage } from './audit/index.ts';
import { systemClock } from './clock.ts';
import { openDatabase, silentLog } from './database/index.ts';
import { tokensPage } from './identity/index.ts';
import { linkAgent } from './link-agent.ts';
import { withDatabaseOf } from './reach-database.ts';

test('an agent’s bearer is made, recorded and written for its owner alone; --replace ends that cluster’s earlier ones', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bw-link-'));
  chmodSync(dir, 0o711);
  t.after(() => rm(dir, { recursive: true, force: true }));
  const stateDir = join(dir, 'state');
  const to = join(dir, 'link.json');
  const urls = 'https://gw1.example.org, http://127.0.0.1:8080';
  const wish = { stateDir, cluster: 'alpha', urls, lifetimeSeconds: 3600, replace: false, to };
  const first = await linkAgent(wish);
  const other = await linkAgent({ ...wish, cluster: 'beta', to: join(dir, 'beta.json') });
  const second = await linkAgent({ ...wish, replace: true });
  assert.deepEqual([first.revoked, second.revoked], [[], [first.id]]);
  assert.equal(statSync(to).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(readFileSync(to, 'utf8')), second.file);
  assert.deepEqual(second.file.urls, ['https://gw1.example.org', 'http://127.0.0.1:8080']);
  await withDatabaseOf(stateDir, async ({ target }) => {
    const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
    try {
      const tokens = await tokensPage(database.kysely, { kind: 'node', limit: 10 });
      const state = tokens.map((token) => [token.id, token.subject, token.revokedAt !== null]);
      assert.deepEqual(
        state.sort(),
        [
          [first.id, 'slurm:alpha', true],
          [other.id, 'slurm:beta', false],
          [second.id, 'slurm:alpha', false],
        ].sort(),
      );
      const records = await recordsPage(database.kysely, { limit: 100 });
      const own = records.filter((r) => r.action === 'admin.slurm-link').toReversed();
      assert.deepEqual(
        own.map((r) => r.phase),
        Array(3).fill(['intent', 'outcome']).flat(),
      );
      assert.deepEqual(own.at(-1)?.detail['revoked'], [first.id]);
      assert.doesNotMatch(JSON.stringify(own), /bwn_/);
    } finally {
      await database.close();
    }
  });
});

test('a name or address that cannot be is refused before anything is opened', () => {
  const wish = { stateDir: '/nowhere', cluster: 'alpha', urls: 'https://a', lifetimeSeconds: 1, replace: false };
  assert.throws(() => linkAgent({ ...wish, cluster: 'slurm:x' }), /--cluster/);
  assert.throws(() => linkAgent({ ...wish, urls: 'https://a,http://gw.example.org' }), /in the clear/);
});
