/**
 * The sync: each source of people.yaml that asks for it is read every so many minutes by one replica at a time, and memberships whose date has passed are
 * ended, and so are tokens that were minted in the moment of leaving. Level-triggered; what fails is written to the source's state and the audit log, and tried again when it is due again.
 */
import { systemCaller } from '../caller.ts';
import { revokeToken } from '../revoke-token.ts';
import { endDue } from './apply-import.ts';
import { afterImport, importPeople, type PeopleDeps } from './import-people.ts';
import { tokensMintedWhileLeaving } from './lost-bearers-store.ts';
import { anyMembershipDue } from './people-store.ts';
import { holdSource } from './source-store.ts';

/** A replica that dies while it reads lets the source go after this long. */
const HOLD_MS = 900_000;
const SYNC = systemCaller('people-sync');

/** One turn: what is due now. Resolves to the sources that were read. */
export async function syncPeople(
  deps: PeopleDeps,
  log: { warn(fields: object, text: string): void },
): Promise<readonly string[]> {
  const read: string[] = [];
  for (const { name, syncMinutes } of deps.settings.sources) {
    if (syncMinutes === undefined) continue;
    const now = deps.clock.now();
    const held = await holdSource(deps.db, {
      name,
      at: new Date(now),
      dueBefore: new Date(now - syncMinutes * 60_000),
      until: new Date(now + HOLD_MS),
    });
    if (!held) continue;
    read.push(name);
    try {
      await importPeople(deps, SYNC, { source: name, dryRun: false, force: false });
    } catch (cause) {
      log.warn(
        { err: cause, source: name },
        'a source of people could not be taken in; what was imported before stays',
      );
    }
  }
  if (await anyMembershipDue(deps.db, new Date(deps.clock.now()))) {
    const outcome = await endDue(deps, SYNC);
    if (outcome !== undefined)
      await afterImport(deps, SYNC, { source: 'dates', outcome: { ...outcome, applied: true } });
  }
  if (deps.onRemoval === 'revoke-tokens')
    for (const id of await tokensMintedWhileLeaving(deps.db, new Date(deps.clock.now())))
      await revokeToken(deps, SYNC, id);
  return read;
}
