/**
 * May this session change its person's factors now? With a factor: one shown within five minutes. Without: only just after signing in, so that
 * a session left open in a control room cannot be given a factor of a stranger's. Read from the database, never from a cache.
 */
import type { Queries } from '../../database/index.ts';
import { Problem, type RuleFinding } from '../../problems.ts';
import { tokenById } from '../store.ts';
import {
  CHANGE_WITHIN_MS,
  type ChangeFault,
  changeFault,
  type FactorCall,
  type FactorDeps,
  FIRST_WITHIN_MS,
} from './factor.ts';
import { factorRows } from './factor-store.ts';
import type { FactorRow } from './factor-tables-store.ts';

const MINUTE_MS = 60_000;

const TOLD: Readonly<Record<ChangeFault, RuleFinding & { readonly why: string }>> = {
  'show-factor': {
    why: 'Factors are changed by whoever has just shown one.',
    rule: 'fresh-factor-changes-factors',
    detail: `show your second factor, at most ${CHANGE_WITHIN_MS / MINUTE_MS} minutes before: /beamway/factor in the browser, beamway login --step-up on the command line`,
  },
  'sign-in-again': {
    why: 'The first factor is set up just after signing in.',
    rule: 'first-factor-after-sign-in',
    detail: `sign in again, and set it up within ${FIRST_WITHIN_MS / MINUTE_MS} minutes`,
  },
};

/** Throws `refused` with the rule and its remedy. Gives the person's factors as they are. */
export async function permitChange(
  deps: Pick<FactorDeps, 'clock'>,
  call: FactorCall,
  db: Queries,
): Promise<readonly FactorRow[]> {
  const { fault, rows } = await look(deps, call, db);
  if (fault === undefined) return rows;
  const { why, rule, detail } = TOLD[fault];
  throw new Problem('refused', why, { rules: [{ rule, detail }] });
}

/** What a person must do before they may change their factors; undefined: nothing. */
export async function whatChangeNeeds(deps: FactorDeps, call: FactorCall): Promise<ChangeFault | undefined> {
  return (await look(deps, call, deps.db)).fault;
}

async function look(
  deps: Pick<FactorDeps, 'clock'>,
  call: FactorCall,
  db: Queries,
): Promise<{ readonly fault: ChangeFault | undefined; readonly rows: readonly FactorRow[] }> {
  const session = await tokenById(db, call.session.id);
  if (session === undefined || session.revokedAt !== null)
    throw new Problem('token-revoked', 'This session has ended. Sign in again.');
  const rows = await factorRows(db, call.session.subject);
  const facts = {
    factors: rows.filter((row) => row.method !== 'recovery-code').length,
    signedInAt: session.createdAt.getTime(),
    factorAt: session.factorAt?.getTime() ?? null,
  };
  return { fault: changeFault(facts, deps.clock.now()), rows };
}
