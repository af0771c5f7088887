/**
 * The session of a person, with what that person holds now: roles, projects, leads. Whoever is disabled is refused. A subject that no source knows keeps
 * the roles of the session; so does a session that the host itself issued (admin init, break-glass), which no directory may shut or widen.
 */
import type { Queries } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { type Caller, ROLES, type Role } from '../caller.ts';
import { standingOf } from './membership.ts';
import { rowsOfPerson } from './people-store.ts';

/** Facility roles by subject, of people.yaml. */
export type SettledRoles = Readonly<Record<string, readonly Role[]>>;

const FROM_THE_HOST: ReadonlySet<string> = new Set(['issued', 'break-glass']);

/** Throws `token-revoked` where the person is disabled. `changesAt`: milliseconds since the Unix epoch at which this must be asked again. */
export async function withStanding(
  db: Queries,
  caller: Caller,
  at: { readonly nowMs: number; readonly settled: SettledRoles },
): Promise<{ readonly caller: Caller; readonly changesAt: number | undefined }> {
  if (caller.kind !== 'session') return { caller, changesAt: undefined };
  const rows = await rowsOfPerson(db, caller.subject);
  const standing = standingOf(rows.persons, rows.memberships, at.nowMs);
  const fromHost = caller.assurance.methods.some((m) => FROM_THE_HOST.has(m));
  if (standing.state === 'disabled' && !fromHost)
    throw new Problem('token-revoked', `${caller.subject} is disabled at this facility.`);
  const { projects, leads } = standing;
  const settled = Object.hasOwn(at.settled, caller.subject) ? (at.settled[caller.subject] ?? []) : [];
  const held = new Set<Role>([...caller.roles, ...(fromHost ? [] : [...standing.roles, ...settled])]);
  return {
    caller: { ...caller, roles: ROLES.filter((r) => held.has(r)), projects, leads },
    changesAt: standing.changesAt?.getTime(),
  };
}
