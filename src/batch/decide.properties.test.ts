/** What holds for every workload: random clusters, tiers and jobs replayed to the end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decide } from './decide.ts';
import type { BatchJob } from './job.ts';
import { countFitting, place } from './place.ts';
import { openPlan } from './plan.ts';
import { replay, type Workload } from './replay.fixture.ts';
import type { TierSpec } from './tier.ts';

const RUNS = Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 500);

const TIERS: readonly TierSpec[] = [
  { name: 'batch', priority: 100, preempts: [], preemptMode: 'requeue', graceSeconds: 0.01 },
  { name: 'killable', priority: 50, preempts: [], preemptMode: 'cancel', graceSeconds: 0 },
  { name: 'interactive', priority: 500, preempts: ['killable'], preemptMode: 'requeue', graceSeconds: 0.005 },
  { name: 'urgent', priority: 1000, preempts: ['batch', 'killable'], preemptMode: 'requeue', graceSeconds: 0 },
  { name: 'first', priority: 2000, preempts: [], preemptMode: 'requeue', graceSeconds: 0 },
];

interface Shape {
  readonly tiers: number;
  readonly exact: boolean;
}

function workloads({ tiers, exact }: Shape): fc.Arbitrary<Workload> {
  const nodes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  const job = fc.record({
    gapMs: fc.nat(12),
    tier: fc.nat(tiers - 1),
    nodes: fc.integer({ min: 1, max: 3 }),
    slotsPerNode: fc.integer({ min: 1, max: 4 }),
    wholeNodes: fc.boolean(),
    limitMs: fc.integer({ min: 1, max: 200 }),
    share: fc.integer({ min: 1, max: 100 }),
    delayMs: fc.option(fc.nat(50), { nil: undefined, freq: 8 }),
  });
  return fc
    .record({ slots: nodes, jobs: fc.array(job, { minLength: 1, maxLength: 40, size: 'max' }) })
    .map(({ slots, jobs }) => {
      let nowMs = 0;
      const fits = (j: { nodes: number; slotsPerNode: number }): boolean =>
        slots.filter((s) => s >= j.slotsPerNode).length >= j.nodes;
      return {
        nodes: slots.map((count, i) => ({ name: `n${i}`, slots: count })),
        tiers: TIERS,
        jobs: jobs.filter(fits).map((j, serial) => {
          nowMs += j.gapMs;
          const made: BatchJob = {
            id: `j${serial}`,
            serial,
            tier: j.tier,
            nodes: j.nodes,
            slotsPerNode: j.slotsPerNode,
            wholeNodes: j.wholeNodes,
            timeLimitMs: j.limitMs,
            submittedAtMs: nowMs,
            ...(j.delayMs === undefined || exact ? {} : { notBeforeMs: nowMs + j.delayMs }),
          };
          return { job: made, runMs: exact ? j.limitMs : Math.max(1, Math.floor((j.limitMs * j.share) / 100)) };
        }),
      };
    });
}

describe('every workload', () => {
  it('gives no slot twice and ends each job exactly once', () => {
    fc.assert(
      fc.property(workloads({ tiers: 5, exact: false }), (workload) => {
        const { ended } = replay(workload);
        assert.equal(ended.size, workload.jobs.length);
        const killable = TIERS.findIndex((t) => t.preemptMode === 'cancel');
        for (const { job } of workload.jobs)
          if (job.tier !== killable) assert.equal(ended.get(job.serial), 'completed');
      }),
      { numRuns: RUNS },
    );
  });

  it('starts the head no later than the shadow time it was first given', () => {
    let seen = 0;
    fc.assert(
      fc.property(workloads({ tiers: 1, exact: true }), (workload) => {
        const shadows = new Map<number, number>();
        const { firstStartMs } = replay(workload, ({ decision }) => {
          if (decision.head === undefined || decision.shadowMs === undefined) return;
          const first = shadows.get(decision.head.serial);
          if (first === undefined) shadows.set(decision.head.serial, decision.shadowMs);
          else assert.ok(decision.shadowMs <= first, 'the reservation never moves back');
        });
        seen += shadows.size;
        for (const [serial, shadowMs] of shadows)
          assert.ok((firstStartMs.get(serial) ?? Number.POSITIVE_INFINITY) <= shadowMs);
      }),
      { numRuns: RUNS },
    );
    assert.ok(seen > RUNS / 2, `the workloads must reserve; ${seen} did`);
  });

  it('moves no head by backfill or preemption behind it, with tiers and early ends too', () => {
    let seen = 0;
    fc.assert(
      fc.property(workloads({ tiers: 5, exact: false }), (workload) => {
        let last: { readonly serial: number; readonly shadowMs: number } | undefined;
        replay(workload, ({ state, decision }) => {
          const { head, shadowMs } = decision;
          // Only who goes ahead of it may move a head: arrivals of higher order, and victims that were requeued there.
          if (head === undefined || state.queue[0]?.serial !== head.serial) last = undefined;
          else if (shadowMs !== undefined) {
            if (last?.serial === head.serial) {
              seen++;
              assert.ok(shadowMs <= last.shadowMs);
            }
            last = { serial: head.serial, shadowMs };
          }
        });
      }),
      { numRuns: RUNS },
    );
    assert.ok(seen > RUNS / 2, `heads must be seen again; ${seen} were`);
  });

  it('preempts only listed tiers, never in vain, never one too many', () => {
    let seen = 0;
    fc.assert(
      fc.property(workloads({ tiers: 5, exact: false }), (workload) => {
        replay(workload, ({ state, decision }) => {
          const byJob = Map.groupBy(decision.preempt, (p) => p.for);
          for (const [job, chosen] of byJob) {
            seen++;
            for (const { victim } of chosen) {
              assert.equal(state.tiers[job.tier]?.mayPreempt[victim.job.tier], 1);
              assert.ok((state.tiers[job.tier]?.priority ?? 0) > (state.tiers[victim.job.tier]?.priority ?? 0));
              assert.equal(victim.preempting, false);
            }
            assert.ok(decision.promised.includes(job), 'who preempts is promised the slots');
            if (decision.start.length > 0 || decision.promised.length > 1) continue;
            assert.equal(place(state, job, { free: openPlan(state).usable }), undefined, 'free slots did not suffice');
            for (const spared of [undefined, ...chosen]) {
              const free = state.free.slice();
              const gone = [
                ...state.running.filter((r) => r.preempting),
                ...chosen.filter((c) => c !== spared).map((c) => c.victim),
              ];
              for (const r of gone)
                for (const part of r.placement) free[part.node] = (free[part.node] ?? 0) + part.slots;
              assert.equal(
                countFitting(state, job, free) >= job.nodes,
                spared === undefined,
                'all of them are needed and enough',
              );
            }
          }
        });
      }),
      { numRuns: RUNS },
    );
    assert.ok(seen > RUNS / 10, `the workloads must preempt; ${seen} did`);
  });

  it('is decided the same way again', () => {
    fc.assert(
      fc.property(workloads({ tiers: 5, exact: false }), (workload) => {
        const all: string[] = [];
        replay(workload, ({ state, decision, nowMs }) => {
          assert.deepEqual(decide(state, nowMs), decision);
          all.push(JSON.stringify(decision));
        });
        const again: string[] = [];
        replay(workload, ({ decision }) => void again.push(JSON.stringify(decision)));
        assert.deepEqual(again, all);
      }),
      { numRuns: RUNS },
    );
  });
});
