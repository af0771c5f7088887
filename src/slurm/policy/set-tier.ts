/**
 * Act `setTier`: makes a QoS of ours or changes it to what is asked. One command of sacctmgr, so that no QoS ever exists without its limits. What the shape cannot say,
 * such as other flags and limits on other resources, stays as it is. Traps of 22.05.8, each seen: below.
 */
import { type ActInput, type ActOutput, SlurmFailure, type TierFact } from '../contract/index.ts';
import { controllerQos } from './controller.ts';
import { converge, type Look } from './converge.ts';
import { changeDatabase, listTiersOf } from './database.ts';
import { HIGHEST_PRIORITY, ownName, type PolicySettings } from './policy-settings.ts';

/** Throws `refused` and `invalid` for what is out of bounds, `unavailable` where it is not in force within 10 s. */
export async function setTier(settings: PolicySettings, input: ActInput<'setTier'>): Promise<ActOutput<'setTier'>> {
  const wanted = { ...input.tier, preempts: [...new Set(input.tier.preempts)].toSorted() };
  checkTier(settings, wanted);
  let tiers: readonly TierFact[] = [];
  const look = async (): Promise<Look<TierFact>> => {
    tiers = await listTiersOf(settings);
    const found = tiers.find((t) => t.name === wanted.name);
    if (found === undefined) return { lags: 'slurmdbd', why: `no QoS ${wanted.name}` };
    if (!sameTier(found, wanted)) return { lags: 'slurmdbd', why: `QoS ${wanted.name} is not as asked` };
    const held = await controllerQos(settings, wanted.name);
    const inForce =
      held !== undefined &&
      held.priority === wanted.priority &&
      held.maxNodes === wanted.maxNodes &&
      held.maxMinutes === minutes(wanted) &&
      held.preemptMode === wanted.preemptMode;
    return inForce ? { settled: found } : { lags: 'slurmctld', why: `it does not have QoS ${wanted.name} as asked` };
  };
  const push = (): Promise<SlurmFailure | undefined> => {
    const unknown = wanted.preempts.filter((name) => !tiers.some((t) => t.name === name));
    if (unknown.length > 0)
      throw new SlurmFailure({ kind: 'invalid', message: `no QoS ${unknown.join(', ')} to preempt` });
    return changeDatabase(settings, [
      changeOf(
        wanted,
        tiers.find((t) => t.name === wanted.name),
      ),
    ]);
  };
  return { tier: await converge(settings, { look, push }) };
}

function checkTier(settings: PolicySettings, tier: TierFact): void {
  ownName(settings, tier.name, 'QoS');
  const refuse = (kind: 'invalid' | 'refused', message: string): never => {
    throw new SlurmFailure({ kind, message: `${tier.name}: ${message}` });
  };
  const highest = Math.min(settings.highestPriority ?? HIGHEST_PRIORITY, HIGHEST_PRIORITY);
  if (tier.priority > highest) refuse('invalid', `priority ${tier.priority} is above ${highest}`);
  // sacctmgr takes `off` and keeps `cluster`: it protects nobody. A QoS is safe where none preempts it.
  if (tier.preemptMode === 'off') refuse('invalid', 'Slurm reads preemption mode off as the mode of the cluster');
  if (tier.preempts.includes(tier.name)) refuse('invalid', 'a QoS does not preempt itself');
  for (const limit of [tier.priority, tier.graceSeconds, tier.maxNodes, tier.maxNodesPerUser, tier.maxJobsPerUser])
    if (limit !== undefined && limit > 2_000_000_000) refuse('invalid', `${limit} is too large for Slurm`);
  const longest = tier.maxTimeLimitSeconds;
  if (longest !== undefined && (longest % 60 !== 0 || longest > 50_000_000))
    refuse('invalid', `a longest time limit of ${longest} s is not whole minutes of at most 578 days`);
  const { mayPreempt } = settings;
  for (const victim of tier.preempts)
    if (mayPreempt !== undefined && !mayPreempt.includes(victim) && !victim.startsWith(settings.prefix))
      refuse('refused', `this cluster does not let it preempt ${victim}`);
}

const minutes = (tier: TierFact): number | undefined =>
  tier.maxTimeLimitSeconds === undefined ? undefined : tier.maxTimeLimitSeconds / 60;

const sameTier = (a: TierFact, b: TierFact): boolean =>
  a.priority === b.priority &&
  a.preemptMode === b.preemptMode &&
  a.graceSeconds === b.graceSeconds &&
  a.maxTimeLimitSeconds === b.maxTimeLimitSeconds &&
  a.maxNodes === b.maxNodes &&
  a.maxNodesPerUser === b.maxNodesPerUser &&
  a.maxJobsPerUser === b.maxJobsPerUser &&
  a.denyOnLimit === b.denyOnLimit &&
  a.preempts.join(',') === b.preempts.toSorted().join(',');

/** -1 clears a limit. Exported for its test. */
export function changeOf(wanted: TierFact, found: TierFact | undefined): readonly string[] {
  const change = [
    `priority=${wanted.priority}`,
    `preemptmode=${wanted.preemptMode}`,
    `gracetime=${wanted.graceSeconds}`,
    `maxwall=${minutes(wanted) ?? -1}`,
    `grptres=node=${wanted.maxNodes ?? -1}`,
    `maxtresperuser=node=${wanted.maxNodesPerUser ?? -1}`,
    `maxjobsperuser=${wanted.maxJobsPerUser ?? -1}`,
  ];
  // One `flags` a command: of `flags+=A flags-=B` only the second was done.
  if (wanted.denyOnLimit !== (found?.denyOnLimit ?? false))
    change.push(`flags${found === undefined ? '' : wanted.denyOnLimit ? '+' : '-'}=DenyOnLimit`);
  // Never an empty `preempt=`, which has been read as all of them: an emptied list is taken away name by name.
  if (wanted.preempts.length > 0) change.push(`preempt=${wanted.preempts.join(',')}`);
  else if (found !== undefined && found.preempts.length > 0) change.push(`preempt-=${found.preempts.join(',')}`);
  return found === undefined
    ? ['add', 'qos', wanted.name, ...change]
    : ['modify', 'qos', wanted.name, 'set', ...change];
}
