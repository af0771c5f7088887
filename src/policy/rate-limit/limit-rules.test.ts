import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { YamlError } from '../../facility/index.ts';
import { limitRulesSchema, loadLimitRules, projectRate, scaleLimits } from './limit-rules.ts';

const EXAMPLE = new URL('../../../facility', import.meta.url).pathname;
const DEFAULTS = limitRulesSchema.parse({});

test('the example facility states the defaults, and one project of its own', () => {
  const { projects, ...rest } = loadLimitRules(EXAMPLE);
  assert.deepEqual({ ...rest, projects: {} }, DEFAULTS);
  assert.deepEqual(Object.keys(projects), ['demo']);
});

test('a project’s own rate counts for its class, the common one for the others', () => {
  const rules = loadLimitRules(EXAMPLE);
  assert.deepEqual(projectRate(rules, 'demo', 'submit'), { perSecond: 500, burst: 2000 });
  assert.deepEqual(projectRate(rules, 'demo', 'read'), rules.project.read);
  assert.deepEqual(projectRate(rules, 'beamtime', 'submit'), rules.project.submit);
});

test('a folder without the file has the defaults, and faults are named by line', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-limits-'));
  t.after(() => rmSync(dir, { recursive: true }));
  assert.deepEqual(loadLimitRules(dir), DEFAULTS);
  const faults = (text: string): string => {
    writeFileSync(join(dir, 'limits.yaml'), text);
    try {
      loadLimitRules(dir);
      return '';
    } catch (error) {
      assert.ok(error instanceof YamlError);
      return error.message;
    }
  };
  assert.match(
    faults('token:\n  read: { perSecond: 10, burst: 5 }\n'),
    /limits\.yaml:2:\d+: .*less than what one second/,
  );
  assert.match(faults('token:\n  read: { perSecond: 0.001, burst: 5 }\n'), /:2:\d+: .*longer than an hour/);
  assert.match(faults('\nreads: 5\n'), /:2:1: .*unknown field reads/);
  assert.match(faults('inFlight: { replica: 0 }\n'), /:1:/);
  assert.equal(faults('token: { read: { perSecond: 0.5, burst: 1 } }\n'), '');
  assert.deepEqual(loadLimitRules(dir).token.mutation, DEFAULTS.token.mutation);
});

test('a factor multiplies rates, bursts and caps, and leaves waits, weights and shares', () => {
  const rules = loadLimitRules(EXAMPLE, 10);
  assert.deepEqual(rules.address, { perSecond: 50_000, burst: 100_000 });
  assert.deepEqual(rules.projects['demo'], { submit: { perSecond: 5000, burst: 20_000 }, weight: 2 });
  assert.deepEqual([rules.inFlight.token, rules.inFlight.waitMs, rules.withoutDatabase.share], [640, 1000, 0.25]);
  const small = scaleLimits(DEFAULTS, 0.001);
  assert.deepEqual(limitRulesSchema.safeParse(small).success, true, 'still a set of rules that may be written');
});
