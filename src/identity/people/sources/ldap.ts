/**
 * LDAP entries as facts: groups are projects (posixGroup by memberUid, groupOfNames by member DN), people are persons. Pure; the reader is read-ldap.ts.
 * A group that a server cut short (`member;range=0-1499`) fails the whole reading: the rest would look like people who left.
 */
import type { LdapSource } from '../people-settings.ts';
import {
  FACILITY_ROLES,
  type FacilityRole,
  type Ignored,
  type ImportedProject,
  MAIL,
  type Membership,
  type Person,
  PROJECT_NAME,
  type Reading,
  SUBJECT,
} from '../person.ts';
import { SourceError } from './csv.ts';

/** Attribute names in lower case: LDAP's have no case. */
export interface LdapEntry {
  readonly dn: string;
  readonly attributes: ReadonlyMap<string, readonly string[]>;
}

const MEMBER_BY_NAME = 'memberuid';
const MEMBERS_BY_DN = ['member', 'uniquemember'];

/** What is asked of a group besides its name, title and leads. */
export const MEMBER_ATTRIBUTES = ['memberUid', 'member', 'uniqueMember'] as const;

/** RFC 4515 section 3: a value within a filter. */
export function escapeFilter(value: string): string {
  return value.replaceAll(/[\\*()\0]/g, (c) => `\\${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The groups' filter, bound to the names in `only`. */
export function groupFilter({ filter, name, only }: LdapSource['groups']): string {
  if (only === undefined) return filter;
  return `(&${filter}(|${only.map((n) => `(${name}=${escapeFilter(n)})`).join('')}))`;
}

/** For comparing: no case, no blanks around `,` and `=`. Good for the DNs of one directory, which writes them alike. */
function plainDn(dn: string): string {
  return dn
    .toLowerCase()
    .replaceAll(/\s*([,=+])\s*/g, '$1')
    .trim();
}

const values = (entry: LdapEntry, attribute: string): readonly string[] =>
  entry.attributes.get(attribute.toLowerCase()) ?? [];

/** Throws SourceError for an answer that was cut short. */
export function parseLdap(people: readonly LdapEntry[], groups: readonly LdapEntry[], source: LdapSource): Reading {
  const ignored: Ignored[] = [];
  const byDn = new Map<string, string>();
  const found = new Map<string, Person>();
  for (const entry of people) {
    const person = personFrom(entry, source);
    if (person === undefined)
      ignored.push({
        what: `entry ${entry.dn.slice(0, 120)}`,
        reason: `its ${source.people.subject} is no name that can be used here`,
      });
    else {
      byDn.set(plainDn(entry.dn), person.subject);
      if (!found.has(person.subject)) found.set(person.subject, person);
    }
  }
  const subjectOf = (text: string, isDn: boolean): string | undefined => {
    const subject = isDn ? byDn.get(plainDn(text)) : source.subjectPrefix + text;
    return subject !== undefined && found.has(subject) ? subject : undefined;
  };
  const projects: ImportedProject[] = [];
  const memberships = new Map<string, Membership>();
  const roles = new Map<string, FacilityRole[]>();
  for (const group of groups) {
    const cut = [...group.attributes.keys()].find((name) => name.includes(';range='));
    if (cut !== undefined)
      throw new SourceError([
        {
          file: group.dn,
          line: 1,
          detail: `the server gave a part of the members only (${cut}): this directory needs ranged retrieval, which is not there`,
        },
      ]);
    const [cn = ''] = values(group, source.groups.name);
    const members = membersOf(group, subjectOf, (name) =>
      ignored.push({
        what: `member ${name.slice(0, 120)} of group ${cn}`,
        reason: 'people.base and people.filter find no such person',
      }),
    );
    const given = Object.hasOwn(source.groups.roles, cn) ? source.groups.roles[cn] : undefined;
    if (given !== undefined) {
      for (const subject of members) roles.set(subject, [...(roles.get(subject) ?? []), ...given]);
      continue;
    }
    const name = Object.hasOwn(source.groups.rename, cn) ? (source.groups.rename[cn] ?? cn) : cn;
    if (!PROJECT_NAME.test(name)) {
      ignored.push({
        what: `group ${cn.slice(0, 80)}`,
        reason: 'its name can be no project’s: give it one under rename',
      });
      continue;
    }
    const title = (values(group, source.groups.title)[0] ?? '')
      .replaceAll(/\p{Cc}/gu, ' ')
      .toWellFormed()
      .slice(0, 200);
    projects.push({ name, title: title || name, environments: null, tiers: null, streams: null, queuedJobs: null });
    const leads = leadsOf(group, source, subjectOf);
    for (const subject of new Set([...members, ...leads]))
      memberships.set(`${name}/${subject}`, {
        project: name,
        subject,
        role: leads.has(subject) ? 'project-lead' : 'member',
        until: null,
      });
  }
  return {
    persons: [...found.values()].map((p) => ({
      ...p,
      roles: FACILITY_ROLES.filter((r) => roles.get(p.subject)?.includes(r)),
    })),
    projects,
    memberships: [...memberships.values()],
    ignored,
  };
}

function personFrom(entry: LdapEntry, { people, subjectPrefix }: LdapSource): Person | undefined {
  const subject = subjectPrefix + (values(entry, people.subject)[0] ?? '');
  if (subject === subjectPrefix || !SUBJECT.test(subject)) return undefined;
  const name = (values(entry, people.name)[0] ?? '')
    .replaceAll(/\p{Cc}/gu, ' ')
    .toWellFormed()
    .slice(0, 200);
  const mail = values(entry, people.mail).find((m) => MAIL.test(m) && m.isWellFormed()) ?? null;
  const { disabled } = people;
  const marks = disabled === undefined ? [] : values(entry, disabled.attribute);
  const shut = disabled?.values === undefined ? marks.length > 0 : marks.some((m) => disabled.values?.includes(m));
  return { subject, name: name || subject, mail, state: shut ? 'disabled' : 'active', roles: [] };
}

function membersOf(
  group: LdapEntry,
  subjectOf: (text: string, isDn: boolean) => string | undefined,
  unknown: (name: string) => void,
): ReadonlySet<string> {
  const members = new Set<string>();
  const take = (text: string, isDn: boolean): void => {
    const subject = subjectOf(text, isDn);
    if (subject === undefined) unknown(text);
    else members.add(subject);
  };
  for (const uid of values(group, MEMBER_BY_NAME)) take(uid, false);
  for (const attribute of MEMBERS_BY_DN) for (const dn of values(group, attribute)) if (dn !== '') take(dn, true);
  return members;
}

function leadsOf(
  group: LdapEntry,
  source: LdapSource,
  subjectOf: (text: string, isDn: boolean) => string | undefined,
): ReadonlySet<string> {
  if (source.groups.leads === undefined) return new Set();
  return new Set(values(group, source.groups.leads).flatMap((text) => subjectOf(text, text.includes('=')) ?? []));
}
