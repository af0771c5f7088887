/** Limits of Slurm by name, and what each limits in words. Names as in slurm's job_state_reason table (src/common/slurm_protocol_defs.c), 22.05 to 24.11. */

const WHAT: readonly (readonly [RegExp, string])[] = [
  [
    /CpuMinutes|TRESMinutes|TRESRunMinutes|RunMinutes|CPURunMinutes|GRESMinutes|GRESRunMinutes|NodeRunMinutes|MemRunMinutes|BillingRunMinutes/i,
    'resource minutes',
  ],
  [/CpuLimit|CPULimit|Cpu|CPU/, 'processors'],
  [/GRES/i, 'generic resources such as GPUs'],
  [/Node/i, 'nodes'],
  [/Mem/i, 'memory'],
  [/Billing/i, 'billing units'],
  [/Energy/i, 'energy'],
  [/License|Licence/i, 'licences'],
  [/SubmitJobs|MaxSubmit/i, 'jobs submitted'],
  [/Jobs/i, 'jobs'],
  [/WallDuration|MaxWall|GrpWall|WallClock/i, 'run time'],
  [/BB/, 'burst buffer space'],
];

const LIMIT =
  /\b(QOS(?:Grp|Max|Min|Usage|Job|Time|Resource)\w*|Assoc(?:Grp|Max|iation)\w*(?:Limit|Minutes)?|MaxSubmit\w*|PartitionTimeLimit|PartitionNodeLimit|JobArrayTaskLimit|AccountingPolicy|QOSResourceLimit|AssociationResourceLimit|AssociationJobLimit|AssociationTimeLimit)\b/;

/** The limit that a text of Slurm's names; undefined: none. */
export function limitIn(text: string): string | undefined {
  const found = LIMIT.exec(text)?.[1];
  if (found !== undefined) return found;
  if (/Job violates accounting\/QOS policy/i.test(text)) return 'AccountingPolicy';
  if (/Requested time limit is invalid|time limit exceeds|exceeds .*time limit/i.test(text))
    return 'PartitionTimeLimit';
  return undefined;
}

/** `its QoS allows so many nodes for each user`, for a code such as QOSMaxNodePerUserLimit. */
export function limitText(code: string): string {
  const whose = /^QOS/.test(code) ? 'its QoS' : /^Assoc/.test(code) ? 'its account' : 'the partition';
  const what = WHAT.find(([pattern]) => pattern.test(code.replace(/^(QOS|Assoc)/, '')))?.[1] ?? 'of this';
  const scope = /PerUser/.test(code)
    ? ' for each user'
    : /PerAccount/.test(code)
      ? ' for each account'
      : /Grp/.test(code)
        ? ' for all its jobs together'
        : /PerNode/.test(code)
          ? ' on each node'
          : '';
  const bound = /Min/.test(code) && !/Minutes/.test(code) ? 'asks for more' : 'allows no more';
  return `${whose} ${bound} ${what}${scope}`;
}
