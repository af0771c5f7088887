/**
 * For verbs that work on a state folder, whether its system runs or not: the database of the running one, or the embedded one started for the moment.
 * Whoever may read the folder's 0600 files is its owner; that is the proof these verbs rest on.
 */
import { join, resolve } from 'node:path';
import { CommandError } from '../clients/typescript/src/cli/index.ts';
import { systemClock } from './clock.ts';
import { type DatabaseTarget, silentLog, startEmbedded } from './database/index.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { readStateFile } from './state-folder.ts';

export interface ReachedDatabase {
  readonly target: DatabaseTarget;
  /** A `beamway up` runs on the folder. */
  readonly running: boolean;
}

/** Throws CommandError where the running system uses an external database, EmbeddedError where its own does not come up. */
export async function withDatabaseOf<T>(
  stateDir: string,
  action: (reached: ReachedDatabase) => Promise<T>,
): Promise<T> {
  const state = resolve(stateDir);
  const up = readStateFile(join(state, 'up.json')) as ProcessIdentity | undefined;
  if (up !== undefined && isAlive(up)) {
    const connection = readStateFile(join(state, 'connection.json'));
    if (connection === undefined)
      throw new CommandError(
        `${state} has no connection.json: is its database an external one? Run this where that is reached.`,
      );
    return action({ target: { embedded: connection } as DatabaseTarget, running: true });
  }
  const embedded = await startEmbedded({ stateDir: state, clock: systemClock, log: silentLog });
  try {
    return await action({ target: { embedded }, running: false });
  } finally {
    await embedded.stop();
  }
}
