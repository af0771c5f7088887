/** For tests: what imports need, over a real database, as the composition root builds it. Each call is a replica of its own with its own map of projects. */
import { openAuditLog } from '../../audit/index.ts';
import { type Clock, systemClock } from '../../clock.ts';
import { type Queries, silentLog } from '../../database/index.ts';
import { type LiveProjects, liveProjects } from '../../facility/index.ts';
import { exampleFacility } from '../token.fixture.ts';
import { openTokenVerifier, type TokenVerifier } from '../verify-token.ts';
import type { PeopleDeps } from './import-people.ts';
import { type ImportedProjects, openImportedProjects } from './imported-projects.ts';
import type { PeopleSettings, Source } from './people-settings.ts';

export interface TestReplica {
  readonly deps: PeopleDeps;
  readonly live: LiveProjects;
  readonly imported: ImportedProjects;
  readonly verifier: TokenVerifier;
  stop(): void;
}

export async function testReplica(
  db: Queries,
  how: {
    readonly sources?: readonly Source[];
    readonly onRemoval?: PeopleDeps['onRemoval'];
    readonly clock?: Clock;
  } = {},
): Promise<TestReplica> {
  const { sources = [], onRemoval = 'revoke-tokens', clock = systemClock } = how;
  const settings: PeopleSettings = {
    projectDefaults: { environments: ['ace'], tiers: ['batch'], limits: { streams: 3, queuedJobs: 4 } },
    onRemoval,
    maxEndedShare: 0.5,
    roles: { rita: ['security'] },
    sources: [...sources],
    notices: { days: [14, 3, 1] },
  };
  const live = liveProjects(exampleFacility);
  const verifier = await openTokenVerifier(db, clock, { settled: settings.roles });
  const imported = await openImportedProjects({ db, clock, live, settings, log: silentLog });
  const deps: PeopleDeps = {
    db,
    clock,
    settings,
    onRemoval,
    verifier,
    imported,
    audit: openAuditLog(db),
    facility: {
      projects: live.own,
      clusters: new Set(exampleFacility.clusters.map((c) => c.name)),
      environments: new Set(exampleFacility.environments.keys()),
      tiers: new Set(exampleFacility.tiers.keys()),
    },
  };
  return {
    deps,
    live,
    imported,
    verifier,
    stop() {
      verifier.stop();
      imported.stop();
    },
  };
}
