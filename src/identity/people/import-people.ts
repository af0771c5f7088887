/**
 * One import, from reading the source to the audit record: asked for by a person, or by the sync. What came of it stands in the source's state; a failure
 * changes nothing else, so that the last good state stays.
 */
import type { AuditLog } from '../../audit/index.ts';
import { newId } from '../../id.ts';
import { Problem } from '../../problems.ts';
import type { Caller } from '../caller.ts';
import type { TokenVerifier } from '../verify-token.ts';
import { applyImport, type ImportDeps, type ImportOutcome } from './apply-import.ts';
import type { ImportedProjects } from './imported-projects.ts';
import type { PeopleSettings, Source } from './people-settings.ts';
import { DEV_SOURCE } from './people-store.ts';
import type { Reading } from './person.ts';
import { countsOf } from './plan-import.ts';
import { recordTry } from './source-store.ts';
import type { CsvTexts } from './sources/read-csv.ts';
import { readSource } from './sources/read-source.ts';

export interface PeopleDeps extends ImportDeps {
  readonly settings: PeopleSettings;
  readonly audit: AuditLog;
  readonly verifier: Pick<TokenVerifier, 'refresh'>;
  readonly imported: Pick<ImportedProjects, 'refresh'>;
}

export interface ImportInput {
  readonly source: string;
  readonly dryRun: boolean;
  readonly force: boolean;
  /** Only for sources of kind csv. */
  readonly csv?: CsvTexts | undefined;
}

/** Names in an audit record; more are counted. */
const MOST_NAMES = 200;

export function sourceNamed(settings: PeopleSettings, name: string): Source {
  const source = settings.sources.find((s) => s.name === name);
  if (source === undefined) {
    const known = settings.sources.map((s) => s.name).join(', ') || 'none';
    throw new Problem('not-found', `people.yaml has no source ${name}; it has ${known}.`);
  }
  return source;
}

/** Throws `not-found`, `source-failed`, `invalid-request` (CSV that was sent), `import-too-large`. */
export async function importPeople(deps: PeopleDeps, caller: Caller, input: ImportInput): Promise<ImportOutcome> {
  const source = sourceNamed(deps.settings, input.source);
  const of = { name: source.name, at: new Date(deps.clock.now()) };
  try {
    const reading = await readSource(source, input.csv);
    const maxEndedShare = source.maxEndedShare ?? deps.settings.maxEndedShare;
    const wish = { source: source.name, maxEndedShare, dryRun: input.dryRun, force: input.force };
    const outcome = await applyImport(deps, caller, { wish, reading });
    if (!outcome.applied) return outcome;
    await recordTry(deps.db, of, { counts: countsOf(outcome.plan) });
    await afterImport(deps, caller, { source: source.name, outcome });
    return outcome;
  } catch (cause) {
    if (!input.dryRun) {
      const failure = cause instanceof Problem ? cause.message : 'An unexpected error was logged.';
      await recordTry(deps.db, of, { failure });
      await recordEvent(deps, caller, { action: 'person.import-failed', source: source.name, detail: { failure } });
    }
    throw cause;
  }
}

/** The accounts of `up --dev`, as if a source had listed them; none: those of an earlier start end. */
export async function importDevAccounts(
  deps: PeopleDeps,
  caller: Caller,
  accounts: readonly { readonly subject: string; readonly name: string; readonly projects: readonly string[] }[],
): Promise<void> {
  const reading: Reading = {
    persons: accounts.map(({ subject, name }) => ({ subject, name, mail: null, state: 'active', roles: [] })),
    memberships: accounts.flatMap(({ subject, projects }) =>
      projects.map((project) => ({ subject, project, role: 'member' as const, until: null })),
    ),
    ignored: [],
  };
  const wish = { source: DEV_SOURCE, maxEndedShare: 1, dryRun: false, force: true };
  const outcome = await applyImport(deps, caller, { wish, reading });
  await afterImport(deps, caller, { source: DEV_SOURCE, outcome });
}

/** Holds on this replica at once, and is recorded where anything changed. */
export async function afterImport(
  deps: PeopleDeps,
  caller: Caller,
  of: {
    readonly source: string;
    readonly outcome: Omit<ImportOutcome, 'plan'> & { readonly plan?: ImportOutcome['plan'] };
  },
): Promise<void> {
  const { plan, losses, revoked, flagged } = of.outcome;
  await deps.verifier.refresh();
  await deps.imported.refresh();
  if (plan !== undefined && plan.changes.length === 0) return;
  const detail = {
    counts: plan === undefined ? {} : countsOf(plan),
    changes: (plan?.changes ?? []).slice(0, MOST_NAMES).map((c) => `${c.kind} ${c.change}: ${c.key}`),
    disabled: losses.disabled.slice(0, MOST_NAMES),
    left: losses.memberships.slice(0, MOST_NAMES).map((m) => `${m.project}/${m.subject}`),
    projectsEnded: losses.projects.slice(0, MOST_NAMES),
    revoked: revoked.slice(0, MOST_NAMES),
    flagged: flagged.slice(0, MOST_NAMES),
    revokedCount: revoked.length,
    flaggedCount: flagged.length,
  };
  await recordEvent(deps, caller, { action: 'person.imported', source: of.source, detail });
}

function recordEvent(
  deps: PeopleDeps,
  caller: Caller,
  event: { readonly action: string; readonly source: string; readonly detail: Readonly<Record<string, unknown>> },
): Promise<void> {
  return deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: caller.kind,
    callerId: caller.id,
    subject: caller.subject,
    project: null,
    action: event.action,
    resource: `source/${event.source}`,
    status: null,
    detail: event.detail,
  });
}
