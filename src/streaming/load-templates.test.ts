import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadFacility, YamlError } from '../facility/index.ts';
import { loadTemplates } from './load-templates.ts';

const EXAMPLE = new URL('../../facility', import.meta.url).pathname;

/** A copy of the example facility, with one file changed. */
function changed(t: TestContext, file: string, change: (text: string) => string): string {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-templates-'));
  t.after(() => rmSync(dir, { recursive: true }));
  cpSync(EXAMPLE, dir, { recursive: true });
  const path = join(dir, file);
  const text = readFileSync(path, 'utf8');
  assert.notEqual(change(text), text, 'the change must change something');
  writeFileSync(path, change(text));
  return dir;
}

function faultsOf(dir: string): readonly string[] {
  try {
    loadTemplates(loadFacility(dir));
    return [];
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    return error.faults.map((f) => `${f.file.slice(dir.length + 1)}:${f.line} ${f.detail}`);
  }
}

test('the example facility holds its templates', () => {
  assert.deepEqual([...loadTemplates(loadFacility(EXAMPLE)).keys()].sort(), [
    'deleria',
    'deleria-rabbitmq',
    'deleria-routed',
    'lcls-frames',
    'lcls-results',
    'lclstreamer',
    'rabbitmq-dedicated',
    'steering',
  ]);
});

test('a template that admits by address alone is refused in the moderate enclave', (t) => {
  const dir = changed(t, 'environments/seeker.yaml', (s) => s.replace('[lcls-frames,', '[lclstreamer, lcls-frames,'));
  const [fault, ...more] = faultsOf(dir);
  assert.match(
    fault ?? '',
    /^environments\/seeker.yaml:1 stream template lclstreamer admits by address alone: open enclave only$/,
  );
  assert.deepEqual(more, []);
});

test('an environment that names a template nobody wrote is a fault of the environment', (t) => {
  const dir = changed(t, 'environments/ace.yaml', (s) => s.replace('lclstreamer]', 'lclstreamer, lost]'));
  assert.match(faultsOf(dir).join(), /environments\/ace.yaml:1 stream template lost is not in stream-templates/);
});

test('every fault of every template is named by file and line, together', (t) => {
  const dir = changed(t, 'stream-templates/lcls-frames.yaml', (s) =>
    s.replace('overflow: wait', 'overflow: maybe').replace('maxConnections: 64', 'maxConnections: 0'),
  );
  writeFileSync(
    join(dir, 'stream-templates/other.yaml'),
    readFileSync(join(EXAMPLE, 'stream-templates/lcls-results.yaml')),
  );
  const faults = faultsOf(dir);
  const line = (text: string): number =>
    readFileSync(join(dir, 'stream-templates/lcls-frames.yaml'), 'utf8')
      .split('\n')
      .findIndex((l) => l.includes(text)) + 1;
  assert.ok(
    faults.some((f) => f.startsWith(`stream-templates/lcls-frames.yaml:${line('overflow: maybe')} overflow`)),
    faults.join('\n'),
  );
  assert.ok(
    faults.some((f) => f.startsWith(`stream-templates/lcls-frames.yaml:${line('maxConnections: 0')} maxConnections`)),
    faults.join('\n'),
  );
  assert.ok(
    faults.some((f) => f.includes("other.yaml:1 the file's name must be lcls-results.yaml")),
    faults.join('\n'),
  );
});

test('what an engine cannot do is a fault of the template, said by field', (t) => {
  const dir = changed(t, 'stream-templates/steering.yaml', (s) =>
    s.replace('overflow: refuse', 'overflow: wait').replace('mode: l7', 'mode: direct'),
  );
  const faults = faultsOf(dir).join('\n');
  assert.match(faults, /engine redis can refuse/);
  assert.match(faults, /engine redis has the mode l7/);
});
