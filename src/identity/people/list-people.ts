/** People and projects as they are shown: one entry a person over all sources, memberships with their source. Reads only. */
import type { Queries } from '../../database/index.ts';
import { personState } from './membership.ts';
import { type AllRows, allRows } from './people-store.ts';
import { FACILITY_ROLES, type FacilityRole, type ProjectRole } from './person.ts';

export interface MembershipView {
  readonly project: string;
  readonly subject: string;
  readonly role: ProjectRole;
  readonly until: Date | null;
  readonly source: string;
}

export interface PersonView {
  readonly subject: string;
  readonly name: string;
  readonly mail: string | null;
  readonly state: 'active' | 'disabled';
  readonly roles: readonly FacilityRole[];
  /** That list them now. */
  readonly sources: readonly string[];
  readonly memberships: readonly MembershipView[];
}

/** By subject. Whoever no source lists any more is still there, disabled: it is history. */
export async function listPeople(db: Queries): Promise<readonly PersonView[]> {
  return peopleOf(await allRows(db));
}

export function peopleOf(rows: AllRows): readonly PersonView[] {
  const memberships = Map.groupBy(rows.memberships, (m) => m.subject);
  return [...Map.groupBy(rows.persons, (p) => p.subject)].map(([subject, own]) => {
    const listed = own.filter((p) => !p.ended);
    const state = personState(own);
    const roles = new Set(listed.flatMap((p) => p.roles));
    return {
      subject,
      name: (listed[0] ?? own[0])?.name ?? subject,
      mail: [...listed, ...own].find((p) => p.mail !== null)?.mail ?? null,
      state: state === 'active' ? 'active' : 'disabled',
      roles: FACILITY_ROLES.filter((r) => roles.has(r)),
      sources: listed.map((p) => p.source),
      memberships: memberships.get(subject) ?? [],
    };
  });
}

/** Members of a project, disabled people left out; by subject. */
export async function membersOf(db: Queries, project: string): Promise<readonly MembershipView[]> {
  const rows = await allRows(db);
  const bySubject = Map.groupBy(rows.persons, (p) => p.subject);
  return rows.memberships
    .filter((m) => m.project === project && personState(bySubject.get(m.subject) ?? []) !== 'disabled')
    .toSorted((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
}
