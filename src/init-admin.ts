/**
 * The verb `admin init`: a session of an administrator, made by whoever owns the state folder. Uses the running system's database where there is
 * one, else starts it for the moment.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CommandError } from '../clients/typescript/src/cli/index.ts';
import { systemClock } from './clock.ts';
import { EXAMPLE_FACILITY } from './config.ts';
import { type DatabaseTarget, migrate, openDatabase, silentLog, startEmbedded } from './database/index.ts';
import { loadFacility } from './facility/index.ts';
import { issueSession } from './identity/index.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { MIGRATIONS } from './server.ts';

export interface AdminSession {
  readonly id: string;
  readonly value: string;
  readonly expiresAt: string;
}

export async function initAdmin(stateDir: string, lifetimeSeconds: number): Promise<AdminSession> {
  const state = resolve(stateDir);
  const running = readJson(join(state, 'up.json')) as ProcessIdentity | undefined;
  if (running !== undefined && isAlive(running)) {
    const connection = readJson(join(state, 'connection.json'));
    if (connection === undefined)
      throw new CommandError(
        `${state} has no connection.json: is its database an external one? Run admin init where that is reached.`,
      );
    return issue({ embedded: connection } as DatabaseTarget, lifetimeSeconds);
  }
  const embedded = await startEmbedded({ stateDir: state, clock: systemClock, log: silentLog });
  try {
    return await issue({ embedded }, lifetimeSeconds);
  } finally {
    await embedded.stop();
  }
}

async function issue(target: DatabaseTarget, lifetimeSeconds: number): Promise<AdminSession> {
  await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
  const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
  try {
    const deps = { db: database.kysely, clock: systemClock, facility: loadFacility(EXAMPLE_FACILITY) };
    const { token, value } = await issueSession(deps, {
      subject: 'administrator',
      roles: ['administrator'],
      lifetimeSeconds,
      by: 'admin init',
    });
    return { id: token.id, value, expiresAt: token.expiresAt.toISOString() };
  } finally {
    await database.close();
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
