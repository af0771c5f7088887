/** How many factors one person may have: enough for every device, few enough to be looked over. */
import { Problem } from '../../problems.ts';
import { MOST_FACTORS } from './factor.ts';
import type { FactorRow } from './factor-tables-store.ts';

/** Throws `conflict`. */
export function checkRoom(rows: readonly FactorRow[]): void {
  if (rows.filter((row) => row.method !== 'recovery-code').length >= MOST_FACTORS)
    throw new Problem('conflict', `You have ${MOST_FACTORS} factors. Remove one that you no longer use.`);
}
