/** Whose things a list is of: a token lists its own project's; a session names one, or (with a reading role) sees all. */
import type { Caller } from '../identity/index.ts';
import type { PolicyResource } from '../policy/index.ts';

export function listedProject(caller: Caller, asked: string | undefined): PolicyResource {
  const project = asked ?? (caller.kind === 'token' ? caller.project : undefined);
  return project === undefined ? {} : { project };
}
