/**
 * Whose things a list is of: a token lists its own project's, in its own environments only; a session names a project, or (with a reading
 * role) sees all.
 */
import type { Caller } from '../identity/index.ts';
import type { PolicyResource } from '../policy/index.ts';

export function listedProject(caller: Caller, asked: string | undefined): PolicyResource {
  const project = asked ?? (caller.kind === 'token' ? caller.project : undefined);
  return project === undefined ? {} : { project };
}

/** The environments that a list is bound to; undefined: all. A token never sees past its own, whatever the rest of the project holds. */
export function listedEnvironments(caller: Caller): readonly string[] | undefined {
  return caller.kind === 'token' ? caller.environments : undefined;
}
