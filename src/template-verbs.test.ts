// `template diff` between two folders, and between what a server has in force and a folder.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Client } from '../clients/typescript/src/index.ts';
import { loadFacility } from './facility/index.ts';
import { loadTemplates } from './streaming/index.ts';
import { templateDiff, templateDiffOnline } from './template-verbs.ts';

const FACILITY = resolve(import.meta.dirname, '../facility');

function changedFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-templates-'));
  t.after(() => rmSync(dir, { recursive: true }));
  cpSync(FACILITY, dir, { recursive: true });
  const file = join(dir, 'stream-templates', 'lcls-frames.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('maxConnections: 64', 'maxConnections: 32'));
  return dir;
}

test('two folders: each changed template with what differs, and nothing where they are the same', (t) => {
  const { ok, text } = templateDiff(FACILITY, changedFolder(t));
  assert.deepEqual([ok, text], [false, 'template lcls-frames changes\n  maxConnections: 64 -> 32\n']);
  assert.deepEqual(templateDiff(FACILITY, FACILITY).text, 'no template differs\n');
});

test('a server and a folder: the live streams made from a changed template are named, page by page', async (t) => {
  const stream = { name: 'frames', project: 'demo', expiresAt: '2026-01-01T00:00:00.000Z' };
  const pages = [
    { streams: [{ ...stream, id: 'str_1', template: 'lcls-frames' }], next: 'str_1' },
    { streams: [{ ...stream, id: 'str_2', template: 'lcls-results' }], next: null },
  ];
  const asked: unknown[] = [];
  const client = {
    call: async (operation: string, input: { query?: object } = {}) => {
      if (operation === 'template.list')
        return { templates: JSON.parse(JSON.stringify([...loadTemplates(loadFacility(FACILITY)).values()])) };
      asked.push(input.query);
      return pages[asked.length - 1];
    },
  } as unknown as Client;
  const { ok, text } = await templateDiffOnline(client, changedFolder(t));
  assert.equal(ok, false);
  assert.match(
    text,
    /^template lcls-frames changes\n {2}maxConnections: 64 -> 32\n {2}stream str_1 \(frames of demo\)/,
  );
  assert.doesNotMatch(text, /str_2/);
  assert.deepEqual(asked, [{}, { before: 'str_1' }]);
});
