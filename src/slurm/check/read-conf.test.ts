// slurm.conf as sites write it: continued lines, comments, any case, quotes, records; and any bytes at all without an exception but SlurmFailure.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SlurmFailure } from '../contract/index.ts';
import { parseAssociationTable, parseQosTable } from './read-accounting.ts';
import { parseConf, parseShownConfig, secondsIn } from './read-conf.ts';
import { checkSite, reportText } from './report.ts';

test('comments, continued lines, quotes, any case; the last of several stands', () => {
  const { settings, partitions, notes } = parseConf(
    `# killwait=1
killWAIT=30 # seconds
KillWait = 5
MessageTimeout=46 # not continued \\
MessageTimeout=4\\  
7
SchedulerParameters=defer,\\
bf_continue
PrologFlags="Alloc, Contain"
Epilog=/a\\#b
NodeName=n[1-4] CPUs=4 \\
  RealMemory=100
PartitionName=one Nodes=n1 Default=YES
\r
include /etc/slurm/more.conf
what is this
`,
  );
  assert.equal(settings.get('killwait'), '5');
  assert.equal(settings.get('prologflags'), 'Alloc, Contain');
  assert.equal(settings.get('epilog'), '/a#b');
  assert.equal(settings.has('cpus'), false);
  assert.equal(settings.has('default'), false);
  assert.equal(partitions[0]?.get('default'), 'YES');
  assert.equal(settings.get('schedulerparameters'), 'defer,bf_continue');
  assert.equal(settings.get('messagetimeout'), '47');
  assert.deepEqual(notes, [
    'line 15: Include /etc/slurm/more.conf was not read',
    'line 16: no Key=Value: "what is this"',
  ]);
});

test('what the controller prints', () => {
  const { settings } = parseShownConfig(
    'Configuration data as of 2026\nKillWait                = 30 sec\nEpilog = (null)\nSlurmctldHost[0]        = a(1.2.3.4)\nPriorityFlags           = \n',
  );
  assert.deepEqual(
    [...settings],
    [
      ['killwait', '30 sec'],
      ['slurmctldhost[0]', 'a(1.2.3.4)'],
      ['priorityflags', ''],
    ],
  );
});

test('durations', () => {
  const read = ['30', '30 sec', '5 min', '2 usec', '00:00:10', '1-00:00:00', 'INFINITE', 'x', ''].map(secondsIn);
  assert.deepEqual(read, [30, 30, 300, 2e-6, 10, 86_400, Number.POSITIVE_INFINITY, undefined, undefined]);
});

test('every setting that was written is read back, whatever the case, the blanks and the line breaks', () => {
  const key = fc
    .stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,20}$/)
    .filter((k) => !/^(include|nodename|downnodes|frontendname|nodeset|switchname|partitionname)$/i.test(k));
  const value = fc.stringMatching(/^[A-Za-z0-9_/.,:=-]{1,30}$/);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, value, fc.constantFrom('\n', ' ', ' \\\n ', ' # why\n', '\r\n\n'))),
      (wanted) => {
        const text = wanted.map(([k, v, end]) => `${k}=${v}${end}`).join('');
        const expected = new Map(wanted.map(([k, v]) => [k.toLowerCase(), v]));
        assert.deepEqual(new Map(parseConf(text).settings), expected);
      },
    ),
  );
});

test('any text gives a report or a SlurmFailure', () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      'KillWait=',
      'KillWait=99999999999999',
      'SchedulerParameters=bf_interval=x,=,defer=',
      'AuthInfo=cred_expire',
      'PreemptMode=,',
      '\\',
      'Include',
      'A="',
      '|Name|Priority|Preempt|',
      'Name|Priority|Preempt',
    ),
  );
  fc.assert(
    fc.property(fc.array(line), fc.boolean(), (lines, live) => {
      const text = lines.join('\n');
      const conf = live ? parseShownConfig(text) : parseConf(text);
      let qos: ReturnType<typeof parseQosTable> = [];
      try {
        qos = parseQosTable(text);
        parseAssociationTable(text);
      } catch (error) {
        assert.ok(error instanceof SlurmFailure);
      }
      assert.equal(typeof reportText(checkSite({ source: 'x', live, conf, qos, unseen: [] })), 'string');
    }),
    { numRuns: 500 },
  );
});
