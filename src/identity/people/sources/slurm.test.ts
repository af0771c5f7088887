// The text was recorded from sacctmgr 22.05.8 on a real cluster `lab`, with accounts and users of its own; only its names were chosen for this.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SourceError } from './csv.ts';
import { nodeHoursOf, parseSlurm } from './slurm.ts';

const ASSOCIATIONS = `lab|root||||1|
lab|root|root|||1|
lab|beamtime|||root|1|
lab|beamtime|bw-beamtime|||1|
lab|demo|||root|1|cpu=120000
lab|demo|bw-demo|||1|
lab|physics|||root|40|cpu=2400000,node=600000
lab|physics|bw-beamtime|||1|
lab|neutrons|||physics|1|
lab|neutrons|bw-demo|all||1|
lab|neutrons|bw-demo|||1|
`;
const ACCOUNTS = `beamtime|project|
demo|project|
neutrons|neutron scattering|bw-beamtime
physics|physics | department|bw-beamtime
root|default root account|
`;
const RULES = {
  clusters: {},
  rename: {},
  ignoreAccounts: ['root'],
  nested: 'separate',
  coresPerNode: {},
  subjectPrefix: '',
} as const;
const held = (r: ReturnType<typeof parseSlurm>): string[] =>
  (r.memberships ?? []).map((m) => `${m.project}/${m.subject} ${m.role}`).sort();

test('accounts are projects, users members, coordinators leads; partitions name nobody twice, and root is nobody', () => {
  const reading = parseSlurm({ associations: ASSOCIATIONS, accounts: ACCOUNTS }, RULES);
  assert.deepEqual(held(reading), [
    'beamtime/bw-beamtime member',
    'demo/bw-demo member',
    'neutrons/bw-beamtime project-lead',
    'neutrons/bw-demo member',
    'physics/bw-beamtime project-lead',
  ]);
  assert.deepEqual(
    reading.persons?.map((p) => [p.subject, p.roles.length]),
    [
      ['bw-beamtime', 0],
      ['bw-demo', 0],
    ],
  );
  assert.equal(reading.projects?.find((p) => p.name === 'physics')?.title, 'physics | department');
});

test('GrpTRESMins of nodes is an allocation; of cpu alone only where the node size is known', () => {
  const plain = parseSlurm({ associations: ASSOCIATIONS }, RULES);
  assert.deepEqual(plain.allocations, [
    { project: 'physics', cluster: 'lab', nodeHours: 10_000, from: null, to: null },
  ]);
  assert.match(plain.ignored[0]?.what ?? '', /account demo on lab/);
  const sized = parseSlurm(
    { associations: ASSOCIATIONS },
    { ...RULES, clusters: { lab: 'frontier' }, coresPerNode: { frontier: 4 } },
  );
  assert.deepEqual(
    sized.allocations?.map((a) => [a.project, a.cluster, a.nodeHours]),
    [
      ['demo', 'frontier', 500],
      ['physics', 'frontier', 10_000],
    ],
  );
  assert.equal(nodeHoursOf('gres/gpu=10', 4), undefined);
});

test('folded, users of a sub-account are members of its topmost one, and only that one’s limit counts', () => {
  const reading = parseSlurm({ associations: ASSOCIATIONS, accounts: ACCOUNTS }, { ...RULES, nested: 'fold' });
  assert.deepEqual(held(reading), [
    'beamtime/bw-beamtime member',
    'demo/bw-demo member',
    'physics/bw-beamtime project-lead',
    'physics/bw-demo member',
  ]);
  const loop = parseSlurm(
    { associations: 'lab|a|||b|1|\nlab|b|||a|1|\nlab|a|eve|||1|\n' },
    { ...RULES, nested: 'fold' },
  );
  assert.deepEqual(held(loop), ['a/eve member']);
});

test('an account that can be no project’s name is left out with a reason, or renamed', () => {
  const text = 'lab|High_Energy|||root|1|\nlab|High_Energy|ada|||1|\n';
  assert.match(parseSlurm({ associations: text }, RULES).ignored[0]?.reason ?? '', /rename/);
  assert.deepEqual(held(parseSlurm({ associations: text }, { ...RULES, rename: { High_Energy: 'hep' } })), [
    'hep/ada member',
  ]);
});

test('an answer of another shape is refused whole, by line; whatever is said, no other error comes', () => {
  assert.throws(() => parseSlurm({ associations: 'lab|demo\n' }, RULES), /associations:1: 2 fields in place of 7/);
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('|', '\n', 'a', 'lab', 'root', '=', ',', 'node=1', '\0', '__proto__'),
        maxLength: 80,
      }),
      (text) => {
        try {
          parseSlurm({ associations: text, accounts: text }, { ...RULES, nested: 'fold' });
        } catch (error) {
          assert.ok(error instanceof SourceError, String(error));
        }
      },
    ),
    { numRuns: 500 },
  );
});
