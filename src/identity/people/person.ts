/**
 * What a source says of people: persons, projects, memberships, allocations. Plain facts, each with the key by which it is the same one at the next
 * reading. Pure; paper section 3.1 takes the facility's people as given, this is where they come from.
 */
import type { Role } from '../caller.ts';

/** As in audit records, account names and tables: no spaces, no control characters. The same shape that sign-in accepts. */
export const SUBJECT = /^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}$/;
export const MAIL = /^[^\s\p{Cc}@<>,;"']{1,64}@[^\s\p{Cc}@<>,;"']{1,190}$/u;
export const PROJECT_NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/** Roles that one person holds in the whole facility; `member` and `project-lead` belong to a project. */
export const FACILITY_ROLES = ['approver', 'operator', 'security', 'administrator'] as const satisfies readonly Role[];
export type FacilityRole = (typeof FACILITY_ROLES)[number];
export const PROJECT_ROLES = ['member', 'project-lead'] as const satisfies readonly Role[];
export type ProjectRole = (typeof PROJECT_ROLES)[number];

export interface Person {
  readonly subject: string;
  readonly name: string;
  readonly mail: string | null;
  /** `disabled` is what the source says of somebody it still lists; it counts whatever other sources say. */
  readonly state: 'active' | 'disabled';
  readonly roles: readonly FacilityRole[];
}

/** Null: as people.yaml's projectDefaults say. */
export interface ImportedProject {
  readonly name: string;
  readonly title: string;
  readonly environments: readonly string[] | null;
  readonly tiers: readonly string[] | null;
  readonly streams: number | null;
  readonly queuedJobs: number | null;
}

export interface Membership {
  readonly project: string;
  readonly subject: string;
  readonly role: ProjectRole;
  /** ISO 8601; null: until the source no longer says so. */
  readonly until: string | null;
}

export interface Allocation {
  readonly project: string;
  readonly cluster: string;
  readonly nodeHours: number;
  /** ISO 8601; null: the source states none. */
  readonly from: string | null;
  readonly to: string | null;
}

export interface Facts {
  readonly persons: readonly Person[];
  readonly projects: readonly ImportedProject[];
  readonly memberships: readonly Membership[];
  readonly allocations: readonly Allocation[];
}

export const KINDS = ['persons', 'projects', 'memberships', 'allocations'] as const satisfies readonly (keyof Facts)[];
export type FactKind = (typeof KINDS)[number];

/** What cannot be taken in, and why; `what` names it as the source does. */
export interface Ignored {
  readonly what: string;
  readonly reason: string;
}

/** One reading of a source. A kind that is absent is one the source says nothing of: nothing of it ends. */
export interface Reading extends Partial<Facts> {
  readonly ignored: readonly Ignored[];
}

export const NO_FACTS: Facts = { persons: [], projects: [], memberships: [], allocations: [] };

/** By which a fact is the same at the next reading, and at which people know it. */
export const KEY_OF = {
  persons: (p: Person) => p.subject,
  projects: (p: ImportedProject) => p.name,
  memberships: (m: Membership) => `${m.project}/${m.subject}`,
  allocations: (a: Allocation) => `${a.project}/${a.cluster}/${a.from ?? 'any'}`,
} as const;
