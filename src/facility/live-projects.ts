/**
 * Projects that come and go while the facility runs: those of facility.yaml, which stay and win, and imported ones. One map that every room holds; its
 * contents are exchanged in one step of the event loop, so that nobody ever sees half of a change.
 */
import type { Facility, Project } from './facility.ts';

export interface LiveProjects {
  /** The facility with the live map in place of its own. */
  readonly facility: Facility;
  /** Names in facility.yaml. */
  readonly own: ReadonlySet<string>;
  /** Takes the place of all imported projects of before. */
  replaceImported(imported: readonly Project[]): void;
}

export function liveProjects(facility: Facility): LiveProjects {
  const all = new Map(facility.projects);
  const own = new Set(facility.projects.keys());
  return {
    facility: { ...facility, projects: all },
    own,
    replaceImported(imported) {
      const next = new Map(imported.filter((p) => !own.has(p.name)).map((p) => [p.name, p]));
      for (const name of [...all.keys()]) if (!own.has(name) && !next.has(name)) all.delete(name);
      for (const [name, project] of next) all.set(name, project);
    },
  };
}
