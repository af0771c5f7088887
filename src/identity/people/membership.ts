/**
 * Who holds what, over all sources together. A person counts as active while one source lists them as active and none says disabled; a membership
 * holds while one source says so and its person is not disabled. Pure; what a change of sources takes away is the difference of two standings.
 */
import type { FacilityRole, ProjectRole } from './person.ts';

export interface PersonRow {
  readonly subject: string;
  readonly state: 'active' | 'disabled';
  readonly roles: readonly FacilityRole[];
  /** The source lists them no longer. */
  readonly ended: boolean;
}

export interface MembershipRow {
  readonly project: string;
  readonly subject: string;
  readonly role: ProjectRole;
  readonly until: Date | null;
}

/** What one subject holds. */
export interface Standing {
  /** `unknown`: no source ever listed them. */
  readonly state: 'active' | 'disabled' | 'unknown';
  readonly roles: readonly FacilityRole[];
  readonly projects: readonly string[];
  /** Of these projects, those that they lead. */
  readonly leads: readonly string[];
  /** When the next of their memberships ends by its date; undefined: none does. */
  readonly changesAt: Date | undefined;
}

export function personState(rows: readonly PersonRow[]): Standing['state'] {
  if (rows.length === 0) return 'unknown';
  const listed = rows.filter((r) => !r.ended);
  return listed.length > 0 && listed.every((r) => r.state === 'active') ? 'active' : 'disabled';
}

/** Of one subject; `memberships` are those that have not ended. */
export function standingOf(
  persons: readonly PersonRow[],
  memberships: readonly MembershipRow[],
  nowMs: number,
): Standing {
  const state = personState(persons);
  if (state === 'disabled') return { state, roles: [], projects: [], leads: [], changesAt: undefined };
  const held = memberships.filter((m) => m.until === null || m.until.getTime() > nowMs);
  const ends = held.flatMap((m) => (m.until === null ? [] : [m.until.getTime()]));
  return {
    state,
    roles: [...new Set(persons.filter((p) => !p.ended).flatMap((p) => p.roles))],
    projects: [...new Set(held.map((m) => m.project))].sort(),
    leads: [...new Set(held.filter((m) => m.role === 'project-lead').map((m) => m.project))].sort(),
    changesAt: ends.length === 0 ? undefined : new Date(Math.min(...ends)),
  };
}

/** Everybody who counts as disabled, every (project, subject) that holds, and every project that a source lists. */
export interface Holdings {
  readonly disabled: ReadonlySet<string>;
  /** `project/subject`. */
  readonly memberships: ReadonlySet<string>;
  readonly projects: ReadonlySet<string>;
}

export function holdingsOf(rows: {
  readonly persons: readonly PersonRow[];
  readonly memberships: readonly MembershipRow[];
  readonly projects: readonly string[];
}): Holdings {
  const bySubject = Map.groupBy(rows.persons, (p) => p.subject);
  const disabled = new Set([...bySubject].filter(([, own]) => personState(own) === 'disabled').map(([name]) => name));
  return {
    disabled,
    memberships: new Set(
      rows.memberships.filter((m) => !disabled.has(m.subject)).map((m) => `${m.project}/${m.subject}`),
    ),
    projects: new Set(rows.projects),
  };
}

export interface Losses {
  readonly disabled: readonly string[];
  readonly memberships: readonly { readonly project: string; readonly subject: string }[];
  readonly projects: readonly string[];
}

/** What was held before and is not now. */
export function lossesBetween(before: Holdings, after: Holdings): Losses {
  const gone = (of: ReadonlySet<string>, left: ReadonlySet<string>): string[] => [...of].filter((k) => !left.has(k));
  return {
    disabled: gone(after.disabled, before.disabled),
    projects: gone(before.projects, after.projects),
    memberships: gone(before.memberships, after.memberships).map((key) => {
      const at = key.indexOf('/');
      return { project: key.slice(0, at), subject: key.slice(at + 1) };
    }),
  };
}
