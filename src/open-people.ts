/**
 * Part of the control plane's composition root: imports of people and their sync, imported projects, expiry notices. Owns the timer that keeps the
 * facility's live map of projects.
 */
import type { peopleRoutes } from './api/index.ts';
import type { AuditLog } from './audit/index.ts';
import type { Clock } from './clock.ts';
import type { DatabaseLog, Queries } from './database/index.ts';
import type { LiveProjects } from './facility/index.ts';
import {
  commandNotifier,
  type DevAccount,
  importDevAccounts,
  logNotifier,
  type NoticeDeps,
  openImportedProjects,
  type PeopleDeps,
  type PeopleSettings,
  sendNotices,
  syncPeople,
  systemCaller,
  type TokenVerifier,
} from './identity/index.ts';

export interface PeopleParts {
  readonly db: Queries;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly verifier: TokenVerifier;
  readonly live: LiveProjects;
  readonly settings: PeopleSettings;
  readonly log: DatabaseLog;
}

export interface OpenPeople {
  readonly routes: Parameters<typeof peopleRoutes>[0];
  /** One turn of the sync, and one look for what ends soon; both may run on any replica at any time. */
  sync(): Promise<unknown>;
  notify(): Promise<unknown>;
  stop(): void;
}

/** `accounts`: those of `up --dev`; none: those of an earlier start end. */
export async function openPeople(parts: PeopleParts, accounts: readonly DevAccount[]): Promise<OpenPeople> {
  const { db, clock, live, settings, log } = parts;
  const { facility } = live;
  const imported = await openImportedProjects({ db, clock, live, settings, log });
  const people: PeopleDeps = {
    ...parts,
    imported,
    onRemoval: settings.onRemoval,
    facility: {
      projects: live.own,
      clusters: new Set(facility.clusters.map((c) => c.name)),
      environments: new Set(facility.environments.keys()),
      tiers: new Set(facility.tiers.keys()),
    },
  };
  await importDevAccounts(people, systemCaller('up --dev'), accounts);
  const { days, command } = settings.notices;
  const notifiers = [...(command === undefined ? [] : [commandNotifier(command)]), logNotifier(log)];
  const notices: NoticeDeps = { db, clock, days, notifiers, log };
  return {
    routes: { people, notices, live },
    sync: () => syncPeople(people, log),
    notify: () => sendNotices(notices),
    stop: () => imported.stop(),
  };
}
