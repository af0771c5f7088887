/** What sacctmgr is told to make a QoS as asked, and whether it is. Pure. */
import { SlurmFailure, type TierFact } from '../contract/index.ts';
import type { Change } from './database.ts';
import type { ControllerQos } from './parse-qos.ts';
import { HIGHEST_PRIORITY, type PolicySettings } from './policy-settings.ts';

/**
 * What Slurm would keep otherwise than it was asked, or what would let one tier push aside another that stands above it. Throws `invalid`, or `refused` for whom ours may not
 * preempt. `others`: every QoS that there is.
 */
export function checkTier(settings: PolicySettings, wanted: TierFact, others: readonly TierFact[]): void {
  const invalid = (message: string): never => {
    throw new SlurmFailure({ kind: 'invalid', message });
  };
  const highest = settings.highestPriority ?? HIGHEST_PRIORITY;
  if (wanted.priority > highest) invalid(`priority: at most ${highest}; Slurm clips what is above`);
  if ((wanted.maxTimeLimitSeconds ?? 0) % 60 !== 0) invalid('maxTimeLimitSeconds: whole minutes, as Slurm counts them');
  if (wanted.preemptMode === 'off')
    invalid('preemptMode: off is not kept by Slurm 22.05 for a QoS; cluster is its default');
  for (const name of wanted.preempts) {
    const victim = others.find((t) => t.name === name);
    if (name !== name.toLowerCase()) invalid(`preempts: ${name}: names of QoS are in lower case`);
    if (name === wanted.name) invalid(`preempts: ${name} is itself`);
    if (wanted.preempts.filter((p) => p === name).length > 1) invalid(`preempts: ${name} stands there twice`);
    if (victim === undefined) throw new SlurmFailure({ kind: 'invalid', message: `preempts: there is no QoS ${name}` });
    if (victim.priority >= wanted.priority)
      invalid(`preempts: ${name} has the priority ${victim.priority}, which is not below ${wanted.priority}`);
    if (settings.mayPreempt !== undefined && !settings.mayPreempt.includes(name))
      throw new SlurmFailure({
        kind: 'refused',
        message: `preempts: ${name} is not among those that may be preempted from here`,
      });
  }
  const over = others.filter((t) => t.name !== wanted.name && t.preempts.includes(wanted.name));
  for (const { name, priority } of over)
    if (priority <= wanted.priority)
      invalid(`priority: ${name} (${priority}) preempts this QoS and must stay above it`);
}

/** Does slurmctld hold it so? It shows neither whom it preempts nor its flags. */
export function controllerHas(held: ControllerQos | undefined, wanted: TierFact): boolean {
  if (held === undefined) return false;
  const minutes = wanted.maxTimeLimitSeconds === undefined ? undefined : wanted.maxTimeLimitSeconds / 60;
  return (
    held.priority === wanted.priority &&
    held.maxMinutes === minutes &&
    held.maxNodes === wanted.maxNodes &&
    held.preemptMode === wanted.preemptMode
  );
}

export function tierIs(now: TierFact, wanted: TierFact): boolean {
  const plain = (t: TierFact): string =>
    JSON.stringify([
      t.priority,
      [...t.preempts].sort(),
      t.preemptMode,
      t.graceSeconds,
      t.maxTimeLimitSeconds ?? null,
      t.maxNodes ?? null,
      t.maxNodesPerUser ?? null,
      t.maxJobsPerUser ?? null,
      t.denyOnLimit,
    ]);
  return plain(now) === plain(wanted);
}

/** -1 takes a limit away. An empty `preempt=` is read as all QoS by 22.05, so a list is emptied name by name. */
export function tierChange(now: TierFact | undefined, wanted: TierFact): readonly Change[] {
  const { name } = wanted;
  const gone = (now?.preempts ?? []).filter((p) => !wanted.preempts.includes(p));
  const minutes = wanted.maxTimeLimitSeconds === undefined ? '-1' : String(Math.ceil(wanted.maxTimeLimitSeconds / 60));
  const set = [
    `priority=${wanted.priority}`,
    `preemptmode=${wanted.preemptMode}`,
    `gracetime=${wanted.graceSeconds}`,
    `maxwall=${minutes}`,
    `grptres=node=${wanted.maxNodes ?? -1}`,
    `maxtresperuser=node=${wanted.maxNodesPerUser ?? -1}`,
    `maxjobsperuser=${wanted.maxJobsPerUser ?? -1}`,
    wanted.denyOnLimit ? 'flags+=DenyOnLimit' : 'flags-=DenyOnLimit',
    ...(wanted.preempts.length === 0 ? [] : [`preempt=${wanted.preempts.join(',')}`]),
  ];
  return [
    ...(now === undefined ? [['add', 'qos', name]] : []),
    ...(wanted.preempts.length === 0 ? gone.map((p) => ['modify', 'qos', name, 'set', `preempt-=${p}`]) : []),
    ['modify', 'qos', name, 'set', ...set],
  ];
}
