/**
 * Tiers: named levels of urgency with their right to preempt (Slurm: QoS with PreemptType=preempt/qos). Pure.
 * As in Slurm, `preemptMode` and `graceSeconds` say how jobs OF this tier are preempted, not how it preempts others.
 */

export interface TierLimits {
  /** At most this many jobs of the tier run at once (Slurm: GrpJobs). */
  readonly runningJobs?: number;
  /** At most this many slots of the tier are in use at once (Slurm: GrpTRES). */
  readonly runningSlots?: number;
}

export interface TierSpec {
  readonly name: string;
  /** Higher goes first; a tier may preempt only tiers of strictly lower priority. */
  readonly priority: number;
  /** Names of the tiers whose running jobs it may preempt. */
  readonly preempts: readonly string[];
  readonly preemptMode: 'requeue' | 'cancel';
  /** Seconds between the request to end and the kill. */
  readonly graceSeconds: number;
  readonly limits?: TierLimits;
}

/** A tier with its names resolved: `mayPreempt[i]` is 1 where tier `i` of the table may be its victim. */
export interface Tier extends TierSpec {
  readonly index: number;
  readonly graceMs: number;
  readonly mayPreempt: Uint8Array;
  readonly preemptsAny: boolean;
  readonly maxRunningJobs: number;
  readonly maxRunningSlots: number;
}

/** Resolves the table. Throws RangeError for a name used twice, an unknown name, or a right to preempt an equal or higher tier. */
export function tierTable(specs: readonly TierSpec[]): readonly Tier[] {
  const byName = new Map<string, { readonly index: number; readonly priority: number }>();
  for (const [index, spec] of specs.entries()) {
    if (byName.has(spec.name)) throw new RangeError(`tier ${spec.name} is declared twice`);
    byName.set(spec.name, { index, priority: spec.priority });
  }
  return specs.map((spec, index) => {
    const mayPreempt = new Uint8Array(specs.length);
    for (const name of spec.preempts) {
      const victim = byName.get(name);
      if (victim === undefined) throw new RangeError(`tier ${spec.name} preempts ${name}, which is not declared`);
      if (victim.priority >= spec.priority)
        throw new RangeError(`tier ${spec.name} preempts ${name}, whose priority is not lower`);
      mayPreempt[victim.index] = 1;
    }
    return {
      ...spec,
      index,
      graceMs: Math.max(0, spec.graceSeconds * 1000),
      mayPreempt,
      preemptsAny: spec.preempts.length > 0,
      maxRunningJobs: spec.limits?.runningJobs ?? Number.POSITIVE_INFINITY,
      maxRunningSlots: spec.limits?.runningSlots ?? Number.POSITIVE_INFINITY,
    };
  });
}
