/**
 * The verb `restore`: a backup into an empty state folder. Everything is checked before anything is written; the rows come back in one transaction. All sessions and the
 * bearers of nodes are revoked: what was revoked after the backup would be believed again, and this is said for tokens.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CommandError } from '../clients/typescript/src/cli/index.ts';
import { openAuditLog, verifyChain } from './audit/index.ts';
import { checkBackup, DATABASE_FOLDER, FILES_FOLDER } from './backup.ts';
import { systemClock } from './clock.ts';
import { type DatabaseTarget, loadDatabase, migrate, openDatabase, silentLog } from './database/index.ts';
import { newId } from './id.ts';
import { revokeToken, systemCaller, tokensPage } from './identity/index.ts';
import { withDatabaseOf } from './reach-database.ts';
import { MIGRATIONS } from './server.ts';
import { serviceFolder } from './state-folder.ts';

export interface RestoreWish {
  readonly from: string;
  readonly stateDir: string;
  /** Where the backup's facility folder goes; absent: it stays in the backup. */
  readonly facilityDir?: string;
  /** Project access tokens too. */
  readonly revokeTokens: boolean;
}

export interface RestoreReport {
  readonly madeAt: string;
  readonly rows: number;
  readonly files: number;
  readonly auditRecords: number;
  readonly revokedSessions: number;
  readonly revokedTokens: number;
  /** Tokens that are valid now and were when the backup was made. */
  readonly validTokens: number;
}

/** Throws CommandError where a folder is not empty, BackupError and DumpError for a backup that cannot be taken. */
export async function restoreState(wish: RestoreWish): Promise<RestoreReport> {
  const from = resolve(wish.from);
  const state = resolve(wish.stateDir);
  for (const folder of [state, ...(wish.facilityDir === undefined ? [] : [resolve(wish.facilityDir)])])
    if (existsSync(folder) && readdirSync(folder).length > 0)
      throw new CommandError(
        `${folder} is not empty: restore into a new folder, then look, then move it into its place`,
      );
  const manifest = await checkBackup(from);
  mkdirSync(state, { recursive: true, mode: 0o711 });
  const report = await withDatabaseOf(state, async ({ target }) => {
    await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
    await loadDatabase(target, manifest.database, join(from, DATABASE_FOLDER));
    // Again, for the rights on partitions that came with the rows.
    await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
    return afterwards(target, { madeAt: manifest.madeAt, revokeTokens: wish.revokeTokens });
  });
  for (const { path, mode } of manifest.files) {
    const to = placeOf(path, state, wish.facilityDir);
    if (to === undefined) continue;
    mkdirSync(dirname(to), { recursive: true, mode: path.startsWith('clusters/') ? 0o711 : 0o700 });
    copyFileSync(join(from, FILES_FOLDER, path), to);
    chmodSync(to, mode);
  }
  const rows = manifest.database.tables.reduce((sum, t) => sum + t.rows, 0);
  return { madeAt: manifest.madeAt, rows, files: manifest.files.length, ...report };
}

function placeOf(path: string, state: string, facilityDir: string | undefined): string | undefined {
  if (path.startsWith('facility/'))
    return facilityDir === undefined ? undefined : join(resolve(facilityDir), path.slice('facility/'.length));
  return path.startsWith('clusters/') ? join(serviceFolder(state), path) : join(state, path);
}

async function afterwards(
  target: DatabaseTarget,
  { madeAt, revokeTokens }: { readonly madeAt: string; readonly revokeTokens: boolean },
): Promise<Omit<RestoreReport, 'madeAt' | 'rows' | 'files'>> {
  const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 2 });
  try {
    const db = database.kysely;
    const deps = { db, clock: systemClock, verifier: { refresh: async () => undefined } };
    const chain = await verifyChain(db);
    if (!chain.intact) throw new CommandError(`the audit log in this backup is broken: ${chain.detail}`);
    const now = systemClock.now();
    const counts = { session: 0, node: 0, token: 0 };
    let validTokens = 0;
    let after: string | undefined;
    for (;;) {
      const page = await tokensPage(db, { limit: 1000, ...(after === undefined ? {} : { after }) });
      for (const { id, kind, revokedAt, expiresAt } of page) {
        if (revokedAt !== null || expiresAt.getTime() <= now) continue;
        if (kind === 'token' && !revokeTokens) validTokens += 1;
        else {
          await revokeToken(deps, systemCaller('restore'), id);
          counts[kind] += 1;
        }
      }
      after = page.at(-1)?.id;
      if (page.length < 1000) break;
    }
    await openAuditLog(db).append({
      at: new Date(now),
      requestId: newId('req'),
      phase: 'event',
      callerKind: 'system',
      callerId: 'restore',
      subject: 'restore',
      project: null,
      action: 'state.restored',
      resource: 'state',
      status: null,
      detail: { madeAt, revokedSessions: counts.session, revokedTokens: counts.token, validTokens },
    });
    return {
      auditRecords: chain.records,
      revokedSessions: counts.session,
      revokedTokens: counts.token,
      validTokens,
    };
  } finally {
    await database.close();
  }
}
