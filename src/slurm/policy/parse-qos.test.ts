import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { SlurmFailure } from '../contract/index.ts';
import { durationSeconds, parseAccess, parseControllerQos, parseTiers } from './parse-qos.ts';
import { isName } from './policy-settings.ts';

const runs = { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 1000) };
const MODES = ['cluster', 'requeue', 'cancel', 'suspend'];

/** Cells as Slurm prints them, and everything else a cell could hold. */
const cell = fc.oneof(
  fc.constantFrom(
    '',
    'normal',
    'high,low',
    'cpu=4,node=2',
    'node=0',
    '1-00:00:00',
    '00:30:00',
    'requeue',
    'GANG,suspend',
  ),
  fc.constantFrom('-1', '0x10', '1e9', '1e400', 'NaN', 'DenyOnLimit', '9007199254740993', ' ', '__proto__', '\r'),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const table = (columns: number): fc.Arbitrary<string> =>
  fc
    .array(fc.array(cell, { minLength: columns - 1, maxLength: columns + 1 }), { maxLength: 5 })
    .map((rows) => rows.map((row) => row.join('|')).join('\n'));
const anyText = (columns: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: table(columns) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
  );

/** The value, or undefined after a failure that says what cannot be read; any other throw fails the test. */
function readOrRefused<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof SlurmFailure, `threw ${String(error)}`);
    assert.equal(error.kind, 'unavailable');
    assert.match(error.message, /cannot be read/);
    assert.ok(error.message.length < 1000);
    return undefined;
  }
}

const isCount = (value: number | undefined): boolean =>
  value === undefined || (Number.isSafeInteger(value) && value >= 1);

test('any text gives tiers whose every field is in bounds, or says what cannot be read', () => {
  fc.assert(
    fc.property(anyText(10), (text) => {
      for (const tier of readOrRefused(() => parseTiers(text)) ?? []) {
        assert.ok(isName(tier.name) && tier.preempts.every(isName));
        assert.ok(Number.isSafeInteger(tier.priority) && tier.priority >= 0);
        assert.ok(Number.isSafeInteger(tier.graceSeconds) && tier.graceSeconds >= 0);
        assert.ok(MODES.includes(tier.preemptMode));
        for (const count of [tier.maxNodes, tier.maxNodesPerUser, tier.maxJobsPerUser]) assert.ok(isCount(count));
        assert.ok(tier.maxTimeLimitSeconds === undefined || tier.maxTimeLimitSeconds >= 60);
      }
    }),
    runs,
  );
});

test('any text gives associations with names only, or says what cannot be read', () => {
  fc.assert(
    fc.property(anyText(5), (text) => {
      for (const row of readOrRefused(() => parseAccess(text)) ?? []) {
        assert.ok(isName(row.account) && row.tiers.every(isName));
        assert.ok(row.user === undefined || row.user !== '');
        assert.ok(row.defaultTier === undefined || isName(row.defaultTier));
      }
    }),
    runs,
  );
});

test("any text of the controller's gives QoS whose every field is in bounds, and never throws", () => {
  const field = fc
    .tuple(
      fc.constantFrom('QOS', 'Priority', 'MaxWallPJ', 'GrpTRES', 'PreemptMode'),
      fc.oneof(cell, fc.constant('normal(1)')),
    )
    .map(([name, value]) => `${name}=${value}`);
  const record = fc.array(field, { maxLength: 6 }).map((fields) => `QOS=q(1)\n    ${fields.join(' ')}`);
  const text = fc.oneof(
    fc.array(record, { maxLength: 4 }).map((records) => records.join('\n')),
    fc.string({ unit: 'binary', maxLength: 300 }),
  );
  fc.assert(
    fc.property(text, (printed) => {
      for (const [name, qos] of parseControllerQos(printed)) {
        assert.match(name, /^[^\s()]+$/);
        assert.ok(Number.isSafeInteger(qos.priority) && qos.priority >= 0);
        assert.ok(MODES.includes(qos.preemptMode));
        for (const limit of [qos.maxMinutes, qos.maxNodes])
          assert.ok(limit === undefined || Number.isSafeInteger(limit));
      }
    }),
    runs,
  );
});

test('a line with a cell too few or too many is refused with the line in the words', () => {
  assert.throws(() => parseTiers('normal|1'), /list of QoS cannot be read: "normal\|1"/);
  assert.throws(() => parseAccess('a|b|c|d|e|f'), /associations cannot be read/);
});

test('a duration is read to the second or not at all', () => {
  assert.equal(durationSeconds('1-02:03:04'), 93_784);
  fc.assert(
    fc.property(cell, (text) => {
      const seconds = durationSeconds(text);
      assert.ok(seconds === undefined || (Number.isSafeInteger(seconds) && seconds >= 0));
    }),
    runs,
  );
});
