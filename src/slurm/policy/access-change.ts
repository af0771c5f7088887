/**
 * What sacctmgr is told so that an account has a QoS, or nobody below it has it any more; nothing where that is so. Pure. Users who inherit follow their account. One whose list
 * is his own keeps it at a grant (the site gave it to him), and loses the QoS at a withdrawal: what is closed is closed for all. A default that is withdrawn is cleared first.
 */
import type { Change } from './database.ts';
import type { AccessRow } from './parse-qos.ts';
import type { PolicySettings } from './policy-settings.ts';

export interface AccessWish {
  readonly tier: string;
  readonly wanted: boolean;
}

export function accessChange(
  { cluster }: Pick<PolicySettings, 'cluster'>,
  rows: readonly AccessRow[],
  { tier, wanted }: AccessWish,
): readonly Change[] {
  const own = rows.find((r) => r.user === undefined);
  if (own === undefined) return [];
  const ofAccount = (set: string): Change => ['modify', 'account', own.account, `cluster=${cluster}`, 'set', set];
  if (wanted) return own.tiers.includes(tier) ? [] : [ofAccount(`qos+=${tier}`)];
  // The account first: who inherited has lost it then, and needs no change of his own.
  if (own.tiers.includes(tier))
    return [...(own.defaultTier === tier ? [ofAccount('defaultqos=-1')] : []), ofAccount(`qos-=${tier}`)];
  return rows.flatMap(({ account, user, partition, tiers, defaultTier }) => {
    if (user === undefined) return [];
    const where = [
      `name=${user}`,
      `account=${account}`,
      `cluster=${cluster}`,
      ...(partition === '' ? [] : [`partition=${partition}`]),
    ];
    const ofUser = (set: string): Change => ['modify', 'user', 'where', ...where, 'set', set];
    return [
      ...(defaultTier === tier ? [ofUser('defaultqos=-1')] : []),
      ...(tiers.includes(tier) ? [ofUser(`qos-=${tier}`)] : []),
    ];
  });
}
