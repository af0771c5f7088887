/**
 * The verbs of the audit log that need no server: `audit verify --records` reads an exported file, `audit prune` acts as the owner of the state folder.
 * Own no state.
 */
import { createPublicKey } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { CommandError, EXIT } from '../clients/typescript/src/cli/index.ts';
import {
  keyIdOf,
  openAuditKeys,
  PruneRefused,
  pruneLog,
  readAuditRules,
  type TrustedKeys,
  verifyRecords,
} from './audit/index.ts';
import { systemClock } from './clock.ts';
import { type DatabaseTarget, migrate, openDatabase, silentLog } from './database/index.ts';
import type { VerbReport } from './policy-verbs.ts';
import { withDatabaseOf } from './reach-database.ts';
import { MIGRATIONS } from './server.ts';

/** `ok` is false for the first broken link. Throws CommandError for a file or a key that cannot be read. */
export async function auditVerifyFile(recordsFile: string, keyFile: string | undefined): Promise<VerbReport> {
  const keys = keyFile === undefined ? undefined : readKey(keyFile);
  const lines = createInterface({ input: createReadStream(recordsFile), crlfDelay: Number.POSITIVE_INFINITY });
  const report = await verifyRecords(lines, keys).catch((cause: unknown) => {
    throw new CommandError(`--records: ${cause instanceof Error ? cause.message : String(cause)}`);
  });
  if (!report.intact)
    return {
      ok: false,
      document: report,
      text: `broken at record ${report.brokenAt}: ${report.type}: ${report.detail}\n`,
    };
  const range = report.first === null ? 'no records' : `${report.records} records, ${report.first} to ${report.last}`;
  const signed = report.signedThrough === null ? 'no key given' : `signed through ${report.signedThrough}`;
  return { ok: true, document: report, text: `intact: ${range}, ${signed}\n` };
}

function readKey(path: string): TrustedKeys {
  try {
    const key = createPublicKey(readFileSync(path));
    if (key.asymmetricKeyType !== 'ed25519') throw new Error('it is no Ed25519 key');
    return new Map([[keyIdOf(key), key]]);
  } catch (cause) {
    throw new CommandError(`--key ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

export interface PruneOptions {
  readonly state: string;
  readonly facility: string;
  readonly archive?: string;
}

/** Throws CommandError where the chain is broken, YamlError for a faulty audit.yaml. */
export async function auditPrune(options: PruneOptions): Promise<VerbReport> {
  const rules = readAuditRules(resolve(options.facility));
  return withDatabaseOf(options.state, async ({ target }) => {
    await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
    const database = openDatabase(asOwner(target), { clock: systemClock, log: silentLog, maxConnections: 2 });
    try {
      const folder = join(resolve(options.state), 'audit');
      const { signer, trusted } = openAuditKeys(folder);
      const pruned = await pruneLog(
        {
          db: database.kysely,
          clock: systemClock,
          signer,
          trusted,
          file: join(folder, 'checkpoints.jsonl'),
          by: 'audit prune',
          ...(options.archive === undefined ? {} : { archive: resolve(options.archive) }),
        },
        rules,
      );
      const lines = pruned.map(
        (p) =>
          `dropped records ${p.from} to ${p.through}${p.archive === null ? '' : `, archived in ${p.archive.file} (SHA-256 ${p.archive.sha256})`}\n`,
      );
      const text =
        lines.length === 0
          ? `nothing is older than ${rules.keepDays} days, sealed and in a closed period\n`
          : lines.join('');
      return { ok: true, document: { keepDays: rules.keepDays, pruned }, text };
    } catch (cause) {
      if (cause instanceof PruneRefused) throw new CommandError(cause.message, EXIT.refused);
      throw cause;
    } finally {
      await database.close();
    }
  });
}

function asOwner(target: DatabaseTarget): DatabaseTarget {
  if (!('embedded' in target)) return target;
  const { ownerConnection } = target.embedded;
  return { embedded: { connection: ownerConnection, ownerConnection } };
}
