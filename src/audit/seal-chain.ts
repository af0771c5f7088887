/** One look of the keeper of the log: ends a period that is old enough and seals the chain when enough was written or enough time has gone by. Level-triggered. */
import { type Queries, transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import type { AuditRules } from './audit-rules.ts';
import { lastCheckpoint, openNextPeriod, periods, trySealLock } from './checkpoint-store.ts';
import { readHead } from './store.ts';
import { type SealDeps, takeCheckpoint } from './take-checkpoint.ts';

const DAY_MS = 86_400_000;

/** Throws BrokenChainError, and what the database or the file says. */
export async function sealChain(deps: SealDeps, rules: AuditRules): Promise<void> {
  const ended = await endPeriod(deps, rules);
  if (ended || (await sealIsDue(deps, rules))) await takeCheckpoint(deps);
}

async function sealIsDue({ db, clock }: SealDeps, rules: AuditRules): Promise<boolean> {
  const last = await lastCheckpoint(db);
  const { sequence } = await readHead(db);
  if (last === undefined) return sequence > 0;
  const unsealed = sequence - last.sequence;
  return (
    unsealed >= rules.checkpointRecords ||
    (unsealed > 1 && clock.now() - last.at.getTime() >= rules.checkpointMinutes * 60_000)
  );
}

/** True where a period was ended just now, by us. */
export async function endPeriod(deps: Omit<SealDeps, 'signer' | 'file'>, rules: AuditRules): Promise<boolean> {
  const now = new Date(deps.clock.now());
  if (!(await isOver(deps.db, rules, now))) return false;
  const last = await transaction(deps.db, async (trx) => {
    if (!(await trySealLock(trx)) || !(await isOver(trx, rules, now))) return undefined;
    return openNextPeriod(trx, now);
  });
  if (last === undefined) return false;
  await deps.audit.append({
    at: now,
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: 'audit',
    subject: 'audit',
    project: null,
    action: 'audit.period-ended',
    resource: '',
    status: null,
    detail: { through: last },
  });
  return true;
}

async function isOver(db: Queries, rules: AuditRules, now: Date): Promise<boolean> {
  const open = (await periods(db)).at(-1);
  if (open === undefined || now.getTime() - open.openedAt.getTime() < rules.partitionDays * DAY_MS) return false;
  return (await readHead(db)).sequence >= open.firstSequence;
}
