/**
 * Limits of Slurm by name, and what each limits in words. Names are those of slurm's table of reasons: src/common/slurm_protocol_defs.c of 22.05.8,
 * src/common/job_state_reason.c of 26.11.
 */

const WHAT: readonly (readonly [RegExp, string])[] = [
  [/Cpu/i, 'processor'],
  [/GRES/i, 'generic resource'],
  [/Node/, 'node'],
  [/Mem/, 'memory'],
  [/Billing/, 'billing unit'],
  [/Energy/, 'energy'],
  [/License/, 'licence'],
  [/BB/, 'burst buffer'],
  [/Submit/, 'submitted job'],
  [/Job/, 'job'],
];
/** What is not counted. */
const MASS: ReadonlySet<string> = new Set(['memory', 'energy', 'burst buffer']);

const LIMIT =
  /\b(QOS(?:Grp|Max|Min|Usage|Job|Time|Resource)\w*|Assoc(?:Grp|Max|iation)\w*|Max(?:Submit|[A-Z][A-Za-z]*Per(?:Account|User|Limit))\w*|PartitionTimeLimit|PartitionNodeLimit|JobArrayTaskLimit|AccountingPolicy)\b/;

const WHOLE: Readonly<Record<string, string>> = {
  PartitionTimeLimit: 'it asks for more time than its partition gives',
  PartitionNodeLimit: 'it asks for more or fewer nodes than its partition gives, or they are down',
  AccountingPolicy: 'a limit of its account or QoS is met',
  JobArrayTaskLimit: 'as many tasks of its array run as it allows',
  QOSUsageThreshold: 'its share of the machine is below what its QoS demands',
  MaxMemPerLimit: 'it asks for more memory than a node or processor may give',
  AssociationResourceLimit: 'its account allows no more resources',
  AssociationTimeLimit: 'its account has used the time it was given',
  QOSResourceLimit: 'its QoS allows no more resources',
  QOSTimeLimit: 'its QoS has used the time it was given',
};

/** The limit that a text of Slurm's names; undefined: none. */
export function limitIn(text: string): string | undefined {
  const found = LIMIT.exec(text)?.[1];
  if (found !== undefined) return found;
  if (/Job violates accounting\/QOS policy/i.test(text)) return 'AccountingPolicy';
  if (/Requested time limit is invalid|time limit exceeds|exceeds .*time limit/i.test(text))
    return 'PartitionTimeLimit';
  return undefined;
}

/** `its QoS allows no more nodes for each user`, for a code such as QOSMaxNodePerUserLimit. */
export function limitText(code: string): string {
  const whole = Object.hasOwn(WHOLE, code) ? WHOLE[code] : undefined;
  if (whole !== undefined) return whole;
  const whose = /^Assoc/.test(code) ? 'its account' : 'its QoS';
  // Without whom it is counted for: PerNode and PerJob name no resource.
  const bare = code.replace(/^(QOS|Association|Assoc)/, '').replace(/Per(Node|User|Account|Job)/, '');
  const scope = scopeText(code);
  if (/Wall/.test(bare)) return `${whose} allows no more run time${scope}`;
  const what = WHAT.find(([pattern]) => pattern.test(bare))?.[1] ?? 'resource';
  if (/RunMin/.test(bare)) return `${whose} allows no more ${what} minutes of running jobs${scope}`;
  if (/Minutes/.test(bare)) return `${whose} allows no more ${what} minutes${scope}`;
  const many = MASS.has(what) ? what : what === 'generic resource' ? 'generic resources such as GPUs' : `${what}s`;
  return /^Min/.test(bare) ? `${whose} asks for more ${many} than it wants` : `${whose} allows no more ${many}${scope}`;
}

function scopeText(code: string): string {
  if (/PerUser/.test(code)) return ' for each user';
  if (/PerAccount/.test(code)) return ' for each account';
  if (/PerNode/.test(code)) return ' on each node';
  if (/Grp/.test(code)) return /GrpJobs|GrpSubmit/.test(code) ? ' in all' : ' for all its jobs together';
  return /PerJob/.test(code) ? ' for one job' : '';
}
