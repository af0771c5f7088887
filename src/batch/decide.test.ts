/** Decisions on small clusters that fit in one's head. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type BatchJob,
  createBatch,
  decide,
  enqueueJob,
  markPreempting,
  numberSlots,
  startJob,
  type TierSpec,
  tierTable,
  whyWaiting,
} from './index.ts';

const TIERS: readonly TierSpec[] = [
  { name: 'batch', priority: 100, preempts: [], preemptMode: 'requeue', graceSeconds: 5 },
  { name: 'interactive', priority: 500, preempts: [], preemptMode: 'requeue', graceSeconds: 5 },
  { name: 'urgent', priority: 1000, preempts: ['batch'], preemptMode: 'requeue', graceSeconds: 2 },
];
const [BATCH, INTERACTIVE, URGENT] = [0, 1, 2];

let serial = 0;
function job(over: Partial<BatchJob> = {}): BatchJob {
  serial++;
  return {
    id: `j${serial}`,
    serial,
    tier: BATCH,
    nodes: 1,
    slotsPerNode: 1,
    timeLimitMs: 1000,
    submittedAtMs: serial,
    ...over,
  };
}

function cluster(slots: readonly number[], tiers: readonly TierSpec[] = TIERS) {
  return createBatch(
    slots.map((count, i) => ({ name: `n${i}`, slots: count })),
    tierTable(tiers),
  );
}

/** Puts jobs in and applies decisions at `nowMs`. */
function settle(state: ReturnType<typeof cluster>, jobs: readonly BatchJob[], nowMs = 0) {
  for (const j of jobs) enqueueJob(state, j);
  const decision = decide(state, nowMs);
  for (const s of decision.start) startJob(state, s.job, { placement: s.placement, atMs: nowMs });
  for (const p of decision.preempt)
    markPreempting(state, p.victim, nowMs + (state.tiers[p.victim.job.tier]?.graceMs ?? 0));
  return decision;
}

const ids = (jobs: readonly { readonly job: BatchJob }[]): readonly string[] => jobs.map((s) => s.job.id);

describe('decide', () => {
  it('starts by tier priority, then age, whatever the order of arrival', () => {
    const [late, early, high] = [
      job({ submittedAtMs: 20 }),
      job({ submittedAtMs: 10 }),
      job({ tier: INTERACTIVE, submittedAtMs: 30 }),
    ];
    assert.deepEqual(ids(settle(cluster([3]), [late, early, high]).start), [high.id, early.id, late.id]);
  });

  it('packs small jobs so that wide gaps stay for wide jobs', () => {
    const state = cluster([4, 4]);
    settle(state, [job({ slotsPerNode: 3 })]);
    const small = settle(state, [job()]).start[0];
    assert.deepEqual(small?.placement, [{ node: 0, slots: 1 }]);
    assert.deepEqual(settle(state, [job({ slotsPerNode: 4 })]).start[0]?.placement, [{ node: 1, slots: 4 }]);
  });

  it('gives a multi-node job different nodes, and a whole-node job all slots of each', () => {
    const state = cluster([2, 4, 4]);
    assert.deepEqual(settle(state, [job({ nodes: 2, slotsPerNode: 3, wholeNodes: true })]).start[0]?.placement, [
      { node: 1, slots: 4 },
      { node: 2, slots: 4 },
    ]);
  });

  it('backfills a short job before the shadow time, and a long one only into slots the head leaves over', () => {
    const state = cluster([4]);
    settle(state, [job({ slotsPerNode: 2, timeLimitMs: 1000 })]);
    const head = job({ slotsPerNode: 3, timeLimitMs: 1000 });
    const [tooLong, short, longButSmall] = [
      job({ slotsPerNode: 2, timeLimitMs: 5000 }),
      job({ timeLimitMs: 1000 }),
      job({ timeLimitMs: 9000 }),
    ];
    const decision = settle(state, [head, tooLong, short, longButSmall]);
    assert.equal(decision.head?.id, head.id);
    assert.equal(decision.shadowMs, 1000);
    assert.deepEqual(ids(decision.start), [short.id, longButSmall.id]);
  });

  it('preempts as few batch jobs as needed, the youngest, and holds their slots through the grace', () => {
    const state = cluster([4]);
    const old = [job(), job()];
    settle(state, old, 0);
    const young = [job(), job()];
    settle(state, young, 100);
    const urgent = job({ tier: URGENT, slotsPerNode: 2 });
    const first = settle(state, [urgent], 200);
    assert.deepEqual(first.preempt.map((p) => p.victim.job.id).sort(), young.map((j) => j.id).sort());
    assert.deepEqual(
      first.promised.map((j) => j.id),
      [urgent.id],
    );
    const again = settle(state, [job({ timeLimitMs: 1 })], 300);
    assert.deepEqual(
      [again.preempt.length, again.start.length, again.promised.length],
      [0, 0, 1],
      'nobody is preempted twice',
    );
    assert.equal(whyWaiting(state, again, { job: urgent, nowMs: 300 }), 'waits for preempted jobs to end');
  });

  it('takes all victims from one node when only that makes room', () => {
    const state = cluster([2, 2]);
    settle(state, [job(), job(), job(), job()]);
    const decision = settle(state, [job({ tier: URGENT, slotsPerNode: 2 })], 10);
    assert.equal(new Set(decision.preempt.map((p) => p.victim.placement[0]?.node)).size, 1);
    assert.equal(decision.preempt.length, 2);
  });

  it('preempts nobody when free slots suffice, when no set would suffice, and never a tier that is not listed', () => {
    const free = cluster([4]);
    settle(free, [job(), job()]);
    assert.equal(settle(free, [job({ tier: URGENT, slotsPerNode: 2 })], 10).preempt.length, 0);
    const mixed = cluster([4]);
    settle(mixed, [job({ tier: INTERACTIVE, slotsPerNode: 2 }), job({ slotsPerNode: 2 })]);
    const tooWide = settle(mixed, [job({ tier: URGENT, slotsPerNode: 4 })], 10);
    assert.deepEqual([tooWide.preempt.length, tooWide.head?.tier], [0, URGENT]);
    const full = cluster([2]);
    settle(full, [job({ slotsPerNode: 2 })]);
    assert.equal(settle(full, [job({ tier: INTERACTIVE })], 10).preempt.length, 0);
  });

  it('drops a preemption behind the head that would move the head', () => {
    const tiers: readonly TierSpec[] = [
      { name: 'batch', priority: 1, preempts: [], preemptMode: 'requeue', graceSeconds: 0 },
      { name: 'quick', priority: 5, preempts: ['batch'], preemptMode: 'requeue', graceSeconds: 0 },
      { name: 'first', priority: 9, preempts: [], preemptMode: 'requeue', graceSeconds: 0 },
    ];
    const long = cluster([2], tiers);
    settle(long, [job({ slotsPerNode: 2, timeLimitMs: 1000 })]);
    const blocked = settle(long, [job({ tier: 2, slotsPerNode: 2 }), job({ tier: 1, timeLimitMs: 5000 })], 10);
    assert.deepEqual([blocked.preempt.length, blocked.head?.tier], [0, 2]);
    const allowed = settle(long, [job({ tier: 1, timeLimitMs: 500 })], 20);
    assert.deepEqual(allowed.preempt.length, 1, 'it is over before the head could start');
  });

  it('keeps a tier within its limits and says so', () => {
    const state = cluster(
      [8],
      [
        {
          name: 'batch',
          priority: 1,
          preempts: [],
          preemptMode: 'cancel',
          graceSeconds: 0,
          limits: { runningJobs: 2, runningSlots: 4 },
        },
      ],
    );
    const [wide, third] = [job({ slotsPerNode: 5 }), job()];
    const decision = settle(state, [wide, job(), job(), third]);
    assert.equal(decision.start.length, 2);
    assert.match(whyWaiting(state, decision, { job: third, nowMs: 0 }), /limit of tier batch/);
  });

  it('holds a job until its time and asks to be woken then', () => {
    const state = cluster([1]);
    const later = job({ notBeforeMs: 5000 });
    assert.deepEqual(settle(state, [later], 100), { start: [], preempt: [], promised: [], nextWakeMs: 5000 });
    assert.deepEqual(ids(settle(state, [], 5000).start), [later.id]);
  });

  it('lets nobody starve behind a job that the usable nodes cannot hold', () => {
    const state = cluster([4, 4]);
    state.usable[1] = 0;
    const wide = job({ nodes: 2 });
    const decision = settle(state, [wide, job({ slotsPerNode: 4 }), job({ slotsPerNode: 4 })]);
    assert.equal(decision.start.length, 1);
    assert.notEqual(decision.head?.id, wide.id);
    assert.match(whyWaiting(state, decision, { job: wide, nowMs: 0 }), /usable nodes/);
  });

  it('numbers slots from the lowest free one and refuses to give one twice', () => {
    const nodes = [{ slots: 4 }];
    assert.deepEqual(numberSlots([{ node: 0, slots: 2 }], nodes, [new Set([0, 2])]), [[1, 3]]);
    assert.throws(() => numberSlots([{ node: 0, slots: 3 }], nodes, [new Set([0, 2])]), RangeError);
  });

  it('refuses a tier table in which a lower tier would preempt', () => {
    assert.throws(
      () => tierTable([{ name: 'a', priority: 1, preempts: ['a'], preemptMode: 'cancel', graceSeconds: 0 }]),
      /not lower/,
    );
    assert.throws(
      () => tierTable([{ name: 'a', priority: 1, preempts: ['b'], preemptMode: 'cancel', graceSeconds: 0 }]),
      /not declared/,
    );
  });
});
