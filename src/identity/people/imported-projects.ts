/**
 * Keeps the facility's live map of projects as the database says: read when the people epoch moved, looked at every half second, at once where this
 * replica imported. A reading that fails keeps the map of before.
 */
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import type { LiveProjects, Project } from '../../facility/index.ts';
import type { PeopleSettings } from './people-settings.ts';
import { allRows, readPeopleEpoch } from './people-store.ts';
import type { ImportedProject } from './person.ts';

const EVERY_MS = 500;

export interface ImportedProjects {
  /** Reads the map now. */
  refresh(): Promise<void>;
  stop(): void;
}

export interface ImportedProjectsDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly live: LiveProjects;
  readonly settings: Pick<PeopleSettings, 'projectDefaults' | 'sources'>;
  readonly log: { warn(fields: object, text: string): void };
}

export async function openImportedProjects(deps: ImportedProjectsDeps): Promise<ImportedProjects> {
  const { db, clock, live, settings } = deps;
  let seen = -1;
  let stopped = false;
  let cancel = (): void => undefined;
  const refresh = async (): Promise<void> => {
    // Before the rows: a change between the two is read again.
    const epoch = await readPeopleEpoch(db);
    if (epoch === seen) return;
    const { projects } = await allRows(db);
    live.replaceImported(projectsFrom(projects, settings));
    seen = epoch;
  };
  const tick = (): void => {
    if (stopped) return;
    refresh()
      .catch((cause: unknown) =>
        deps.log.warn({ err: cause }, 'imported projects could not be read; those of before stay'),
      )
      .finally(() => {
        if (!stopped) cancel = clock.after(EVERY_MS, tick);
      });
  };
  await refresh();
  cancel = clock.after(EVERY_MS, tick);
  return {
    refresh,
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** One project a name: of two sources, the one that people.yaml lists first. Without environments and tiers, of its own or by default, there is none. */
export function projectsFrom(
  rows: readonly (ImportedProject & { readonly source: string })[],
  settings: Pick<PeopleSettings, 'projectDefaults' | 'sources'>,
): readonly Project[] {
  const rank = new Map(settings.sources.map((s, i) => [s.name, i]));
  const rankOf = (source: string): number => rank.get(source) ?? settings.sources.length;
  const first = new Map<string, ImportedProject>();
  for (const row of rows.toSorted((a, b) => rankOf(a.source) - rankOf(b.source) || (a.source < b.source ? -1 : 1)))
    if (!first.has(row.name)) first.set(row.name, row);
  const defaults = settings.projectDefaults;
  return [...first.values()].flatMap((p): Project[] => {
    const environments = p.environments ?? defaults?.environments;
    const tiers = p.tiers ?? defaults?.tiers;
    if (environments === undefined || environments.length === 0 || tiers === undefined || tiers.length === 0) return [];
    const { streams = 0, queuedJobs = 0 } = defaults?.limits ?? {};
    return [
      {
        name: p.name,
        title: p.title,
        environments: [...environments],
        tiers: [...tiers],
        limits: { streams: p.streams ?? streams, queuedJobs: p.queuedJobs ?? queuedJobs },
      },
    ];
  });
}
