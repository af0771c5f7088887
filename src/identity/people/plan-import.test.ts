import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { holdingsOf, lossesBetween, type PersonRow, standingOf } from './membership.ts';
import { type Facts, NO_FACTS, type Reading } from './person.ts';
import { type PlanContext, planImport } from './plan-import.ts';

const CONTEXT: PlanContext = {
  present: NO_FACTS,
  otherSubjects: new Set(['far']),
  otherProjects: new Set(['elsewhere']),
  facility: {
    projects: new Set(['demo']),
    clusters: new Set(['local']),
    environments: new Set(['ace']),
    tiers: new Set(['batch']),
  },
  now: Date.UTC(2026, 0, 1),
};
const name = fc.constantFrom('ada', 'bob', 'eve', 'far', 'demo', 'p1', 'p2', 'elsewhere', 'local');
const time = fc.option(fc.constantFrom('2025-06-01T00:00:00.000Z', '2026-06-01T00:00:00.000Z'), { nil: null });
const reading: fc.Arbitrary<Reading> = fc.record(
  {
    persons: fc.array(
      fc.record({
        subject: name,
        name: fc.string(),
        mail: fc.constant(null),
        state: fc.constantFrom('active' as const, 'disabled' as const),
        roles: fc.constant([]),
      }),
      { maxLength: 5 },
    ),
    projects: fc.array(
      fc.record({
        name,
        title: fc.string(),
        environments: fc.option(fc.subarray(['ace', 'nowhere']), { nil: null }),
        tiers: fc.constant(null),
        streams: fc.option(fc.nat(9), { nil: null }),
        queuedJobs: fc.constant(null),
      }),
      { maxLength: 5 },
    ),
    memberships: fc.array(
      fc.record({
        project: name,
        subject: name,
        role: fc.constantFrom('member' as const, 'project-lead' as const),
        until: time,
      }),
      { maxLength: 6 },
    ),
    allocations: fc.array(fc.record({ project: name, cluster: name, nodeHours: fc.nat(99), from: time, to: time }), {
      maxLength: 4,
    }),
    ignored: fc.constant([]),
  },
  { requiredKeys: ['ignored'] },
);

test('what a plan wants, planned again, is no change; and nothing is wanted that nobody named', () => {
  fc.assert(
    fc.property(reading, reading, (first, second) => {
      let present: Facts = NO_FACTS;
      for (const next of [first, second]) {
        const plan = planImport(next, { ...CONTEXT, present });
        present = { ...present, ...plan.wanted };
        const again = planImport(next, { ...CONTEXT, present });
        assert.deepEqual(again.changes, []);
        assert.equal(again.endedShare, 0);
        assert.ok(plan.endedShare >= 0 && plan.endedShare <= 1);
        for (const m of plan.wanted.memberships ?? []) assert.ok(m.until === null || Date.parse(m.until) > CONTEXT.now);
        assert.ok(!(plan.wanted.projects ?? []).some((p) => p.name === 'demo'));
      }
    }),
    { numRuns: 300 },
  );
});

test('what is left out is told with its reason', () => {
  const plan = planImport(
    {
      persons: [{ subject: 'ada', name: 'Ada', mail: null, state: 'active', roles: [] }],
      projects: [{ name: 'demo', title: 'x', environments: null, tiers: null, streams: null, queuedJobs: null }],
      memberships: [
        { project: 'demo', subject: 'ada', role: 'member', until: null },
        { project: 'demo', subject: 'ada', role: 'project-lead', until: null },
        { project: 'nowhere', subject: 'ada', role: 'member', until: null },
        { project: 'demo', subject: 'ghost', role: 'member', until: null },
      ],
      allocations: [{ project: 'demo', cluster: 'moon', nodeHours: 1, from: null, to: null }],
      ignored: [],
    },
    CONTEXT,
  );
  assert.deepEqual(plan.ignored, [
    { what: 'project demo', reason: 'facility.yaml has this project, and facility.yaml counts' },
    { what: 'membership demo/ada', reason: 'is there twice; the first one counts' },
    { what: 'membership nowhere/ada', reason: 'there is no project nowhere' },
    { what: 'membership demo/ghost', reason: 'no source lists a person ghost' },
    { what: 'allocation demo/moon/any', reason: 'facility.yaml has no cluster moon' },
  ]);
});

test('an empty answer ends everybody: the share says so', () => {
  const persons = ['ada', 'bob'].map((subject) => ({
    subject,
    name: subject,
    mail: null,
    state: 'active' as const,
    roles: [],
  }));
  const present = { ...NO_FACTS, persons };
  assert.equal(planImport({ persons: [], ignored: [] }, { ...CONTEXT, present }).endedShare, 1);
  const half = [...persons.slice(0, 1), ...persons.slice(1).map((p) => ({ ...p, state: 'disabled' as const }))];
  assert.equal(planImport({ persons: half, ignored: [] }, { ...CONTEXT, present }).endedShare, 0.5);
  assert.equal(
    planImport({ ignored: [] }, { ...CONTEXT, present }).endedShare,
    0,
    'a kind that is not spoken of ends nobody',
  );
});

test('a person is active while one source lists them and none shuts them; dates end memberships', () => {
  const row = (state: 'active' | 'disabled', ended: boolean): PersonRow => ({
    subject: 'ada',
    state,
    ended,
    roles: ['operator'],
  });
  const until = new Date(CONTEXT.now + 1000);
  const memberships = [{ project: 'p', subject: 'ada', role: 'project-lead' as const, until }];
  const at = (rows: PersonRow[], now = CONTEXT.now) => standingOf(rows, memberships, now);
  assert.equal(at([]).state, 'unknown');
  assert.deepEqual(at([]).projects, ['p']);
  assert.equal(at([row('active', true), row('active', false)]).state, 'active');
  assert.equal(at([row('active', false), row('disabled', false)]).state, 'disabled');
  assert.deepEqual(at([row('active', true)]).projects, []);
  assert.deepEqual(at([row('active', false)]), {
    state: 'active',
    roles: ['operator'],
    projects: ['p'],
    leads: ['p'],
    changesAt: until,
  });
  assert.deepEqual(at([row('active', false)], CONTEXT.now + 1000).projects, []);
});

test('losses are what one standing has and the next has not', () => {
  const row = (subject: string, state: 'active' | 'disabled'): PersonRow => ({
    subject,
    state,
    ended: false,
    roles: [],
  });
  const member = (project: string, subject: string) => ({ project, subject, role: 'member' as const, until: null });
  const before = holdingsOf({
    persons: [row('ada', 'active'), row('bob', 'active')],
    memberships: [member('p', 'ada'), member('p', 'ada'), member('p', 'bob')],
    projects: ['p', 'q'],
  });
  const after = holdingsOf({
    persons: [row('ada', 'active'), row('bob', 'disabled')],
    memberships: [member('p', 'ada'), member('p', 'bob')],
    projects: ['p'],
  });
  assert.deepEqual(lossesBetween(before, after), {
    disabled: ['bob'],
    projects: ['q'],
    memberships: [{ project: 'p', subject: 'bob' }],
  });
});
