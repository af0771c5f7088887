/**
 * Drops the periods whose retention is over, oldest first: an act of the owner of the tables, never of the application. Refuses while the chain does not
 * verify, and anything that is too young or not sealed. The drop, the signed start behind it and its own record are one transaction.
 */
import { transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import { appendWithin } from './append-store.ts';
import { type Archived, archivePeriod } from './archive-period.ts';
import type { AuditRules } from './audit-rules.ts';
import { signCheckpoint, type TrustedKeys } from './checkpoint.ts';
import { completeCheckpointFile, readCheckpointFile } from './checkpoint-file.ts';
import { checkpointsFrom, insertCheckpoint, lastCheckpoint, periods } from './checkpoint-store.ts';
import { dropPeriod, partitionExists } from './prune-store.ts';
import { type AuditEntry, storable } from './record.ts';
import { recordAt } from './store.ts';
import type { SealDeps } from './take-checkpoint.ts';
import { verifyChain } from './verify-chain.ts';

const DAY_MS = 86_400_000;

export interface PruneDeps extends Omit<SealDeps, 'audit'> {
  readonly trusted: TrustedKeys;
  /** Where the records are written before they are dropped; absent: nowhere. */
  readonly archive?: string;
  /** Who pruned, for the record. */
  readonly by: string;
}

export interface PrunedPeriod {
  readonly period: number;
  readonly from: number;
  readonly through: number;
  readonly archive: Archived | null;
}

export class PruneRefused extends Error {
  override readonly name = 'PruneRefused';
}

/** Throws PruneRefused where the chain is broken. What is too young or not sealed stays, and is no error. */
export async function pruneLog(deps: PruneDeps, rules: AuditRules): Promise<readonly PrunedPeriod[]> {
  const { db, trusted } = deps;
  const report = await verifyChain(db, { trusted, file: readCheckpointFile(deps.file) });
  if (!report.intact)
    throw new PruneRefused(`the chain is broken at record ${report.brokenAt} (${report.type}): nothing is dropped`);
  const sealed = (await lastCheckpoint(db))?.sequence ?? 0;
  const oldest = deps.clock.now() - rules.keepDays * DAY_MS;
  const all = await periods(db);
  const pruned: PrunedPeriod[] = [];
  for (const [i, { period, firstSequence }] of all.entries()) {
    const next = all[i + 1];
    // What it holds was appended before the next one was opened.
    if (next === undefined || next.openedAt.getTime() > oldest) break;
    if (!(await partitionExists(db, period))) continue;
    const last = next.firstSequence - 1;
    if (last > sealed) break;
    pruned.push(await prunePeriod(deps, rules, { period, first: firstSequence, last }));
  }
  completeCheckpointFile(deps.file, await checkpointsFrom(db, 0));
  return pruned;
}

async function prunePeriod(
  deps: PruneDeps,
  rules: AuditRules,
  what: { readonly period: number; readonly first: number; readonly last: number },
): Promise<PrunedPeriod> {
  const end = await recordAt(deps.db, what.last);
  if (end === undefined) throw new PruneRefused(`record ${what.last} is not there`);
  const archive = deps.archive === undefined ? null : await archivePeriod(deps.db, deps.archive, what);
  const at = new Date(deps.clock.now());
  const start = signCheckpoint(deps.signer, { kind: 'start', sequence: what.last, digest: end.digest, at });
  const pruned = { period: what.period, from: what.first, through: what.last, archive };
  const entry: AuditEntry = {
    at,
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: deps.by,
    subject: deps.by,
    project: null,
    action: 'audit.pruned',
    resource: '',
    status: null,
    detail: { ...pruned, keepDays: rules.keepDays },
  };
  await transaction(deps.db, async (trx) => {
    await dropPeriod(trx, what.period);
    await insertCheckpoint(trx, start);
    await appendWithin(trx, [storable(entry)]);
  });
  return pruned;
}
