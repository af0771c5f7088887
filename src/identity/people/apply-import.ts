/**
 * Takes one reading of a source in: plan, then all of it in one transaction: rows, both epochs, and the revocation of what people lost by it (sessions of who
 * is disabled; by people.yaml's onRemoval the tokens of a project that somebody left). Importers take turns; the plan is made of what holds then.
 */

import type { Clock } from '../../clock.ts';
import { type Queries, type TransactionQueries, transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import type { Caller } from '../caller.ts';
import { moveEpoch } from '../epoch-store.ts';
import { revokeTokenIn } from '../revoke-token.ts';
import { bearersLost } from './lost-bearers-store.ts';
import { type Holdings, holdingsOf, type Losses, lossesBetween } from './membership.ts';
import {
  allRows,
  endDueMemberships,
  endRows,
  factsOf,
  holdPeople,
  movePeopleEpoch,
  saveAllocation,
  saveMembership,
  savePerson,
  saveProject,
} from './people-store.ts';
import { KEY_OF, KINDS, type Reading } from './person.ts';
import { type ImportPlan, type PlanContext, planImport } from './plan-import.ts';

export interface ImportDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: PlanContext['facility'];
  readonly onRemoval: 'revoke-tokens' | 'flag';
}

export interface ImportWish {
  readonly source: string;
  readonly maxEndedShare: number;
  readonly dryRun: boolean;
  /** Apply it however many it ends. */
  readonly force: boolean;
}

export interface ImportOutcome {
  readonly plan: ImportPlan;
  readonly applied: boolean;
  readonly losses: Losses;
  /** Ids of bearers that were revoked (of a dry run: none), and of tokens that were kept though their person left the project. */
  readonly revoked: readonly string[];
  readonly flagged: readonly string[];
}

const NO_LOSSES: Losses = { disabled: [], memberships: [], projects: [] };

/** Throws `conflict` where the plan ends too many and `force` is not said; then nothing was changed. */
export async function applyImport(
  deps: ImportDeps,
  caller: Caller,
  input: { readonly wish: ImportWish; readonly reading: Reading },
): Promise<ImportOutcome> {
  const { wish, reading } = input;
  return transaction(deps.db, async (trx) => {
    await holdPeople(trx);
    const plan = planImport(reading, await contextOf(trx, deps, wish.source));
    const nothing = { plan, applied: false, losses: NO_LOSSES, revoked: [], flagged: [] };
    if (wish.dryRun) return nothing;
    if (plan.endedShare > wish.maxEndedShare && !wish.force)
      throw new Problem(
        'import-too-large',
        `Source ${wish.source} would end ${percent(plan.endedShare)} of its members, and at most ${percent(wish.maxEndedShare)} may end at once. Nothing was changed.`,
      );
    if (plan.changes.length === 0) return { ...nothing, applied: true };
    const { losses, ...bearers } = await withLosses(trx, deps, {
      by: caller.id,
      change: () => write(trx, { deps, source: wish.source, plan }),
    });
    return { plan, applied: true, losses, ...bearers };
  });
}

/** Ends the memberships whose date has passed, with all that follows from it. Resolves to undefined where there were none. */
export async function endDue(
  deps: ImportDeps,
  caller: Caller,
): Promise<Omit<ImportOutcome, 'plan' | 'applied'> | undefined> {
  return transaction(deps.db, async (trx) => {
    await holdPeople(trx);
    let ended = 0;
    const outcome = await withLosses(trx, deps, {
      by: caller.id,
      change: async () => {
        ended = await endDueMemberships(trx, new Date(deps.clock.now()));
      },
    });
    return ended === 0 ? undefined : outcome;
  });
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

async function contextOf(trx: TransactionQueries, deps: ImportDeps, source: string): Promise<PlanContext> {
  const rows = await allRows(trx);
  const others = <T extends { readonly source: string }>(list: readonly T[]): readonly T[] =>
    list.filter((r) => r.source !== source);
  return {
    present: await factsOf(trx, source),
    otherSubjects: new Set(
      others(rows.persons)
        .filter((p) => !p.ended)
        .map((p) => p.subject),
    ),
    otherProjects: new Set(others(rows.projects).map((p) => p.name)),
    facility: deps.facility,
    now: deps.clock.now(),
  };
}

async function holdings(trx: TransactionQueries): Promise<Holdings> {
  const rows = await allRows(trx);
  return holdingsOf({ ...rows, projects: rows.projects.map((p) => p.name) });
}

async function withLosses(
  trx: TransactionQueries,
  deps: ImportDeps,
  work: { readonly by: string; readonly change: () => Promise<void> },
): Promise<Omit<ImportOutcome, 'plan' | 'applied'>> {
  const before = await holdings(trx);
  await work.change();
  const after = await holdings(trx);
  const all = lossesBetween(before, after);
  // A project that facility.yaml lists too lives on.
  const losses = { ...all, projects: all.projects.filter((name) => !deps.facility.projects.has(name)) };
  const at = new Date(deps.clock.now());
  const { sessions, tokens } = await bearersLost(trx, losses, at);
  const revoked = deps.onRemoval === 'flag' ? sessions : [...sessions, ...tokens];
  for (const id of revoked) await revokeTokenIn(trx, { id, at, by: work.by });
  await moveEpoch(trx);
  await movePeopleEpoch(trx);
  return { losses, revoked, flagged: deps.onRemoval === 'flag' ? tokens : [] };
}

async function write(
  trx: TransactionQueries,
  of: { readonly deps: ImportDeps; readonly source: string; readonly plan: ImportPlan },
): Promise<void> {
  const { source, plan } = of;
  const at = new Date(of.deps.clock.now());
  const changed = new Set(plan.changes.filter((c) => c.change !== 'ended').map((c) => `${c.kind} ${c.key}`));
  const fact = { source, at };
  const { persons = [], projects = [], memberships = [], allocations = [] } = plan.wanted;
  for (const p of persons) if (changed.has(`persons ${KEY_OF.persons(p)}`)) await savePerson(trx, fact, p);
  for (const p of projects) if (changed.has(`projects ${KEY_OF.projects(p)}`)) await saveProject(trx, fact, p);
  for (const m of memberships)
    if (changed.has(`memberships ${KEY_OF.memberships(m)}`)) await saveMembership(trx, fact, m);
  for (const a of allocations) {
    const key = KEY_OF.allocations(a);
    if (changed.has(`allocations ${key}`)) await saveAllocation(trx, { ...fact, key }, a);
  }
  for (const kind of KINDS) {
    const keys = plan.changes.filter((c) => c.kind === kind && c.change === 'ended').map((c) => c.key);
    if (keys.length > 0) await endRows(trx, fact, { kind, keys });
  }
}
