/**
 * Seals the chain: checks the links since the last checkpoint, signs the head, stores the checkpoint in the database and in the file outside of it, and
 * records that it did. One replica at a time; may be killed at any line and run again.
 */
import type { Clock } from '../clock.ts';
import { type Queries, transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import type { AuditLog } from './append.ts';
import { type Checkpoint, type CheckpointSigner, checkpointJson, signCheckpoint } from './checkpoint.ts';
import { completeCheckpointFile } from './checkpoint-file.ts';
import { checkpointsFrom, insertCheckpoint, lastCheckpoint, trySealLock } from './checkpoint-store.ts';
import { CHAIN_START } from './record.ts';
import { readHead, recordAt } from './store.ts';
import { verifyLinks } from './verify-chain.ts';

export interface SealDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly signer: CheckpointSigner;
  /** `checkpoints.jsonl`, outside of the database. */
  readonly file: string;
}

/** The chain is broken behind the last checkpoint: nothing is signed. */
export class BrokenChainError extends Error {
  override readonly name = 'BrokenChainError';
}

export const SEALED_ACTION = 'audit.sealed';

/** Resolves to the newest checkpoint, or undefined where there is nothing to seal or another replica is at it. Throws BrokenChainError. */
export async function takeCheckpoint(deps: SealDeps): Promise<Checkpoint | undefined> {
  const made = await transaction(deps.db, async (trx) => {
    if (!(await trySealLock(trx))) return undefined;
    const last = await lastCheckpoint(trx);
    const head = await readHead(trx);
    if (head.sequence === 0 || (await isSealed(trx, { last: last?.sequence ?? 0, head: head.sequence })))
      return undefined;
    const fault = await verifyLinks(trx, { from: last?.sequence ?? 0, digest: last?.digest ?? CHAIN_START, head });
    if (fault !== undefined && !fault.intact) throw new BrokenChainError(`${fault.type}: ${fault.detail}`);
    const { sequence, digest } = head;
    const checkpoint = signCheckpoint(deps.signer, { kind: 'mark', sequence, digest, at: new Date(deps.clock.now()) });
    await insertCheckpoint(trx, checkpoint);
    return checkpoint;
  });
  // The database first: a crash here leaves a file that is behind, which the next call completes.
  completeCheckpointFile(deps.file, await checkpointsFrom(deps.db, 0));
  if (made !== undefined) await recordCheckpoint(deps, made);
  return made ?? lastCheckpoint(deps.db);
}

/** Sealing writes a record of its own: one that is alone behind the last checkpoint is not worth another. */
async function isSealed(db: Queries, at: { readonly last: number; readonly head: number }): Promise<boolean> {
  if (at.head === at.last) return true;
  return at.head === at.last + 1 && (await recordAt(db, at.head))?.action === SEALED_ACTION;
}

export function recordCheckpoint(deps: Pick<SealDeps, 'audit' | 'clock'>, checkpoint: Checkpoint): Promise<void> {
  return deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: 'audit',
    subject: 'audit',
    project: null,
    action: SEALED_ACTION,
    resource: `checkpoint/${checkpoint.sequence}`,
    status: null,
    detail: { ...checkpointJson(checkpoint) },
  });
}
