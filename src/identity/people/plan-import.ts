/**
 * What a reading of one source would change: added, changed, ended, and what is left out with its reason. Pure. Nothing of another source is ever in
 * a plan, and planning again after the plan was applied gives an empty one.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type Allocation,
  type FactKind,
  type Facts,
  type Ignored,
  type ImportedProject,
  KEY_OF,
  KINDS,
  type Membership,
  type Person,
  type Reading,
} from './person.ts';

export interface PlanContext {
  /** Of this source, as last applied. */
  readonly present: Facts;
  /** Subjects and projects that other sources list now. */
  readonly otherSubjects: ReadonlySet<string>;
  readonly otherProjects: ReadonlySet<string>;
  /** Names in facility.yaml and environments. */
  readonly facility: {
    readonly projects: ReadonlySet<string>;
    readonly clusters: ReadonlySet<string>;
    readonly environments: ReadonlySet<string>;
    readonly tiers: ReadonlySet<string>;
  };
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

export interface PlannedChange {
  readonly kind: FactKind;
  readonly key: string;
  readonly change: 'added' | 'changed' | 'ended';
  /** Names of the fields that differ; empty unless changed. */
  readonly fields: readonly string[];
}

export interface ImportPlan {
  readonly changes: readonly PlannedChange[];
  readonly ignored: readonly Ignored[];
  /** The facts that hold once it is applied, of the kinds that the source speaks of. */
  readonly wanted: Partial<Facts>;
  /** Of the persons or memberships that this source has now, the larger share that would end or be disabled; 0 where it has none. */
  readonly endedShare: number;
}

export function planImport(reading: Reading, context: PlanContext): ImportPlan {
  const ignored: Ignored[] = [...reading.ignored];
  const wanted = acceptable(reading, context, ignored);
  const changes = KINDS.flatMap((kind) => {
    const next = wanted[kind];
    return next === undefined ? [] : changesOf(kind, context.present[kind], next);
  });
  return { changes, ignored, wanted, endedShare: endedShare(changes, context.present, wanted) };
}

type AnyFact = Facts[FactKind][number];
const keyOf = (kind: FactKind, fact: AnyFact): string => (KEY_OF[kind] as (f: AnyFact) => string)(fact);

function changesOf(kind: FactKind, present: readonly AnyFact[], next: readonly AnyFact[]): PlannedChange[] {
  const before = new Map(present.map((f) => [keyOf(kind, f), f]));
  const after = new Map(next.map((f) => [keyOf(kind, f), f]));
  const changes: PlannedChange[] = [];
  for (const [key, fact] of after) {
    const old = before.get(key);
    if (old === undefined) changes.push({ kind, key, change: 'added', fields: [] });
    else {
      const was = new Map(Object.entries(old));
      const fields = Object.entries(fact).flatMap(([k, v]) => (isDeepStrictEqual(v, was.get(k)) ? [] : [k]));
      if (fields.length > 0) changes.push({ kind, key, change: 'changed', fields });
    }
  }
  for (const key of before.keys()) if (!after.has(key)) changes.push({ kind, key, change: 'ended', fields: [] });
  return changes;
}

function endedShare(changes: readonly PlannedChange[], present: Facts, wanted: Partial<Facts>): number {
  const nowDisabled = new Set((wanted.persons ?? []).filter((p) => p.state === 'disabled').map((p) => p.subject));
  const active = present.persons.filter((p) => p.state === 'active');
  const gone = new Set(changes.filter((c) => c.kind === 'persons' && c.change === 'ended').map((c) => c.key));
  const lostPersons = active.filter((p) => gone.has(p.subject) || nowDisabled.has(p.subject)).length;
  const lostMemberships = changes.filter((c) => c.kind === 'memberships' && c.change === 'ended').length;
  const share = (lost: number, of: number): number => (of === 0 ? 0 : lost / of);
  return Math.max(share(lostPersons, active.length), share(lostMemberships, present.memberships.length));
}

/** Each key once, every name known; pushes what is not onto `ignored`. */
function acceptable(reading: Reading, context: PlanContext, ignored: Ignored[]): Partial<Facts> {
  const { facility } = context;
  const once = <F extends AnyFact>(
    kind: FactKind,
    facts: readonly F[],
    fault: (fact: F) => string | undefined,
  ): F[] => {
    const seen = new Set<string>();
    return facts.filter((fact) => {
      const key = keyOf(kind, fact);
      const reason = fault(fact) ?? (seen.has(key) ? 'is there twice; the first one counts' : undefined);
      if (reason !== undefined) ignored.push({ what: `${SINGULAR[kind]} ${key}`, reason });
      else seen.add(key);
      return reason === undefined;
    });
  };
  const persons = reading.persons === undefined ? undefined : once<Person>('persons', reading.persons, () => undefined);
  const projects =
    reading.projects === undefined
      ? undefined
      : once<ImportedProject>('projects', reading.projects, (p) => projectFault(p, context));
  // Where a reading says nothing of a kind, what was applied before holds.
  const subjects = new Set([...(persons ?? context.present.persons).map((p) => p.subject), ...context.otherSubjects]);
  const known = new Set([
    ...(projects ?? context.present.projects).map((p) => p.name),
    ...context.otherProjects,
    ...facility.projects,
  ]);
  const memberships =
    reading.memberships === undefined
      ? undefined
      : once<Membership>('memberships', reading.memberships, (m) => {
          if (!known.has(m.project)) return `there is no project ${m.project}`;
          if (!subjects.has(m.subject)) return `no source lists a person ${m.subject}`;
          return m.until !== null && Date.parse(m.until) <= context.now
            ? `ended on ${m.until.slice(0, 10)}`
            : undefined;
        });
  const allocations =
    reading.allocations === undefined
      ? undefined
      : once<Allocation>('allocations', reading.allocations, (a) => {
          if (!known.has(a.project)) return `there is no project ${a.project}`;
          return facility.clusters.has(a.cluster) ? undefined : `facility.yaml has no cluster ${a.cluster}`;
        });
  return {
    ...(persons === undefined ? {} : { persons }),
    ...(projects === undefined ? {} : { projects }),
    ...(memberships === undefined ? {} : { memberships }),
    ...(allocations === undefined ? {} : { allocations }),
  };
}

const SINGULAR: Readonly<Record<FactKind, string>> = {
  persons: 'person',
  projects: 'project',
  memberships: 'membership',
  allocations: 'allocation',
};

function projectFault(project: ImportedProject, { facility }: PlanContext): string | undefined {
  if (facility.projects.has(project.name)) return 'facility.yaml has this project, and facility.yaml counts';
  const environment = project.environments?.find((name) => !facility.environments.has(name));
  if (environment !== undefined) return `there is no environment ${environment}`;
  const tier = project.tiers?.find((name) => !facility.tiers.has(name));
  return tier === undefined ? undefined : `there is no tier ${tier}`;
}

/** How many of each kind were added, changed, ended; and how many things were left out. */
export function countsOf(plan: Pick<ImportPlan, 'changes' | 'ignored'>): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { kind, change } of plan.changes) {
    const name = `${kind} ${change}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  if (plan.ignored.length > 0) counts['ignored'] = plan.ignored.length;
  return counts;
}
