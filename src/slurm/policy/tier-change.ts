/** What sacctmgr is told to make a QoS as asked, and whether it is. Pure. */
import type { TierFact } from '../contract/index.ts';
import type { Change } from './database.ts';

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
