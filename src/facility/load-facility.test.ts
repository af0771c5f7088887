import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadFacility } from './load-facility.ts';
import { YamlError } from './read-yaml.ts';

const EXAMPLE = new URL('../../facility', import.meta.url).pathname;

/** A copy of the facility that comes with the checkout, with replacements in its files. */
function facilityWith(t: TestContext, changes: readonly (readonly [file: string, from: string, to: string])[]): string {
  const root = mkdtempSync(join(tmpdir(), 'beamway-facility-'));
  t.after(() => rmSync(root, { recursive: true }));
  cpSync(EXAMPLE, root, { recursive: true });
  for (const [file, from, to] of changes) {
    const text = readFileSync(join(root, file), 'utf8');
    assert.ok(text.includes(from), `${file} holds ${from}`);
    writeFileSync(join(root, file), text.replace(from, to));
  }
  return root;
}

function faultsIn(root: string): string[] {
  try {
    loadFacility(root);
  } catch (error) {
    assert.ok(error instanceof YamlError, String(error));
    return error.faults.map((f) => `${f.file.slice(root.length + 1)}:${f.line}:${f.column}: ${f.detail}`);
  }
  return [];
}

test('the facility that comes with the checkout loads, with its four environments', () => {
  const facility = loadFacility(EXAMPLE);
  assert.deepEqual([...facility.environments.keys()].sort(), ['ace', 'frontier', 'odo', 'seeker']);
  assert.ok(facility.projects.has('demo'));
  assert.deepEqual([...facility.tiers.keys()], ['urgent', 'interactive', 'batch']);
});

test('a cluster with Slurm says its name and, where nodes are shared, their size; nodes it does not declare', (t) => {
  const slurm = '  - { name: alpha, scheduler: slurm, slotsPerNode: 64 }\n';
  const root = facilityWith(t, [['facility.yaml', 'clusters:\n', `clusters:\n${slurm}`]]);
  assert.deepEqual(loadFacility(root).clusters[0], { name: 'alpha', scheduler: 'slurm', slotsPerNode: 64 });
  const wrong = slurm.replace('slotsPerNode: 64', 'nodes: []');
  assert.match(faultsIn(facilityWith(t, [['facility.yaml', 'clusters:\n', `clusters:\n${wrong}`]])).join(), /nodes/);
});

test('names that do not exist are all told together, each where it is written', (t) => {
  const root = facilityWith(t, [
    ['facility.yaml', 'tiers: [batch, interactive, urgent]', 'tiers: [batch, speedy, urgent]'],
    ['facility.yaml', 'environments: [ace, odo]', 'environments: [ace, nowhere]'],
    ['facility.yaml', 'external: external', 'external: yonder'],
    ['facility.yaml', 'ports: { from: 0, to: 0 }', 'ports: { from: 9, to: 8 }'],
    ['qos-tiers.yaml', 'preempts: [batch]', 'preempts: [lazy]'],
    ['environments/ace.yaml', 'cluster: local', 'cluster: remote'],
    ['environments/odo.yaml', 'name: odo', 'name: oddo'],
    ['environments/seeker.yaml', 'tiers: [batch, interactive, urgent]', 'tiers: [batch, gentle]'],
  ]);
  const at = (file: string, needle: string, word: string): string => {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    const line = lines.findIndex((l) => l.includes(needle));
    return `${file}:${line + 1}:${(lines[line] ?? '').lastIndexOf(word) + 1}`;
  };
  const main = 'facility.yaml';
  assert.deepEqual(
    new Set(faultsIn(root)),
    new Set([
      `${at('environments/ace.yaml', 'cluster: remote', 'remote')}: cluster remote is not in facility.yaml`,
      `${at('environments/odo.yaml', 'name: oddo', 'oddo')}: the file's name must be oddo.yaml`,
      `${at('environments/seeker.yaml', 'gentle', 'gentle')}: tier gentle is not in qos-tiers.yaml`,
      `${at(main, 'yonder', 'yonder')}: data streaming node dsn01: no network yonder`,
      `${at(main, 'from: 9', '8')}: data streaming node dsn01: ports.to is below ports.from`,
      `${at(main, 'environments: [ace, odo, seeker', 'odo')}: project demo: no environment odo`,
      `${at(main, 'speedy', 'speedy')}: project demo: no tier speedy`,
      `${at(main, 'nowhere', 'nowhere')}: project beamtime: no environment nowhere`,
      `${at('qos-tiers.yaml', 'lazy', 'lazy')}: tier urgent preempts lazy, which is no tier`,
    ]),
  );
});

test('a name that stands twice is a fault: the second would silently take the place of the first', (t) => {
  const root = facilityWith(t, [
    ['facility.yaml', 'name: beamtime', 'name: demo'],
    ['facility.yaml', '{ name: n02, slots: 4 }', '{ name: n01, slots: 4 }'],
    ['qos-tiers.yaml', 'name: interactive', 'name: urgent'],
  ]);
  const twice = faultsIn(root).filter((f) => f.endsWith('is there twice'));
  assert.deepEqual(twice.map((f) => f.split(': ')[1]).sort(), [
    'demo is there twice',
    'n01 is there twice',
    'urgent is there twice',
  ]);
});

test('faults of several files are told together', (t) => {
  const root = facilityWith(t, [
    ['facility.yaml', 'organization: Beamway', 'organisation: Beamway'],
    ['environments/ace.yaml', 'stage: testbed', 'stage: playground'],
    ['qos-tiers.yaml', 'priority: 1000', 'priority: 70000'],
  ]);
  const files = new Set(faultsIn(root).map((f) => f.split(':')[0]));
  assert.deepEqual([...files].sort(), ['environments/ace.yaml', 'facility.yaml', 'qos-tiers.yaml']);
});

test('a folder that holds nothing is a fault for each file that must be there', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'beamway-facility-'));
  t.after(() => rmSync(root, { recursive: true }));
  assert.deepEqual(
    faultsIn(root).map((f) => f.split(':')[0]),
    ['facility.yaml', 'qos-tiers.yaml'],
  );
});
