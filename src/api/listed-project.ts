/**
 * Whose things a list is of: a token lists its own project's, in its own environments only; a session names a project, has just one, or (with a
 * reading role) sees all. Handlers list what was located here, never what was asked: policy has judged the one and not the other.
 */
import type { Caller, Role } from '../identity/index.ts';
import type { PolicyResource } from '../policy/index.ts';

export function listedProject(caller: Caller, asked: string | undefined): PolicyResource {
  const project = asked ?? ownProject(caller);
  return project === undefined ? {} : { project };
}

const SEES_ALL: ReadonlySet<Role> = new Set(['administrator', 'operator', 'security']);

function ownProject(caller: Caller): string | undefined {
  if (caller.kind === 'token') return caller.project;
  if (caller.kind !== 'session' || caller.roles.some((r) => SEES_ALL.has(r))) return undefined;
  return caller.projects.length === 1 ? caller.projects[0] : undefined;
}

/** The environments that a list is bound to; undefined: all. A token never sees past its own, whatever the rest of the project holds. */
export function listedEnvironments(caller: Caller): readonly string[] | undefined {
  return caller.kind === 'token' ? caller.environments : undefined;
}
