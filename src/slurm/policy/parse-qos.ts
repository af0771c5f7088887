/** Reads what sacctmgr and scontrol print of QoS and associations. Never throws but SlurmFailure: what cannot be read is `unavailable`, not a guess. */
import { type AccessFact, SlurmFailure, type TierFact } from '../contract/index.ts';
import { isName } from './policy-settings.ts';

export const TIER_COLUMNS = 'name,priority,preempt,preemptmode,gracetime,maxwall,grptres,maxtrespu,maxjobspu,flags';
export const ACCESS_COLUMNS = 'account,user,partition,qos,defaultqos';

const unreadable = (what: string, line: string): SlurmFailure =>
  new SlurmFailure({
    kind: 'unavailable',
    message: `sacctmgr's ${what} cannot be read: ${JSON.stringify(line.slice(0, 120))}`,
  });

const words = (text: string): string[] => text.split(',').filter((w) => w !== '');

/** Seconds of [days-]hours:minutes:seconds; undefined where it is empty or no duration. */
export function durationSeconds(text: string): number | undefined {
  const found = /^(?:(\d{1,6})-)?(\d{1,8}):(\d{1,2}):(\d{1,2})$/.exec(text);
  if (found === null) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = found;
  return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

/** The count of nodes in a TRES list such as cpu=4,node=2. */
function nodesOf(tres: string): number | undefined {
  const found = /(?:^|,)node=(\d{1,9})(?:,|$)/.exec(tres)?.[1];
  const nodes = Number(found);
  return found === undefined || nodes < 1 ? undefined : nodes;
}

const MODES: ReadonlyMap<string, TierFact['preemptMode']> = new Map([
  ['', 'cluster'],
  ['cluster', 'cluster'],
  ['off', 'cluster'],
  ['requeue', 'requeue'],
  ['cancel', 'cancel'],
  ['suspend', 'suspend'],
]);

/** Of `sacctmgr -nP list qos format=TIER_COLUMNS`. QoS that our names cannot name are left out; they cannot be asked for either. */
export function parseTiers(text: string): TierFact[] {
  const tiers: TierFact[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const cells = line.split('|');
    const [
      name = '',
      priority = '',
      preempt = '',
      mode = '',
      grace = '',
      wall = '',
      group = '',
      perUser = '',
      jobs = '',
      flags = '',
    ] = cells;
    if (cells.length !== 10) throw unreadable('list of QoS', line);
    if (!isName(name)) continue;
    // GANG and WITHIN are said beside the mode itself.
    const preemptMode = mode
      .toLowerCase()
      .split(',')
      .map((m) => MODES.get(m))
      .find((m) => m !== undefined);
    const rank = priority === '' ? 0 : Number(priority);
    const graceSeconds = grace === '' ? 0 : durationSeconds(grace);
    const wallSeconds = durationSeconds(wall);
    const jobsPerUser = jobs === '' ? undefined : Number(jobs);
    const maxNodes = nodesOf(group);
    const maxNodesPerUser = nodesOf(perUser);
    if (!Number.isSafeInteger(rank) || rank < 0 || graceSeconds === undefined) throw unreadable('QoS', line);
    if ((wall !== '' && wallSeconds === undefined) || (jobsPerUser !== undefined && !Number.isSafeInteger(jobsPerUser)))
      throw unreadable('limits of a QoS', line);
    tiers.push({
      name,
      priority: rank,
      preempts: words(preempt).filter(isName).toSorted(),
      preemptMode: preemptMode ?? 'cluster',
      graceSeconds,
      ...(wallSeconds !== undefined && wallSeconds >= 60 && { maxTimeLimitSeconds: wallSeconds }),
      ...(maxNodes !== undefined && { maxNodes }),
      ...(maxNodesPerUser !== undefined && { maxNodesPerUser }),
      ...(jobsPerUser !== undefined && jobsPerUser >= 1 && { maxJobsPerUser: jobsPerUser }),
      denyOnLimit: words(flags).includes('DenyOnLimit'),
    });
  }
  return tiers;
}

export interface AccessRow extends AccessFact {
  /** Empty: of all partitions. */
  readonly partition: string;
}

/** Of `sacctmgr -nP list assoc format=ACCESS_COLUMNS`: what is effective, inherited or own; sacctmgr does not say which. */
export function parseAccess(text: string): AccessRow[] {
  const rows: AccessRow[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const cells = line.split('|');
    const [account = '', user = '', partition = '', qos = '', standard = ''] = cells;
    if (cells.length !== 5) throw unreadable('associations', line);
    if (!isName(account)) continue;
    rows.push({
      account,
      ...(user !== '' && { user }),
      partition,
      tiers: words(qos).filter(isName).toSorted(),
      ...(isName(standard) && { defaultTier: standard }),
    });
  }
  return rows;
}

/** A QoS as slurmctld holds it: 22.05 shows neither whom it preempts nor its flags. */
export interface ControllerQos {
  readonly priority: number;
  readonly maxMinutes: number | undefined;
  readonly maxNodes: number | undefined;
  readonly preemptMode: TierFact['preemptMode'];
}

/** Of `scontrol -o show assoc_mgr flags=qos`: a record begins at QOS=name(id). Fields that a version does not print read as absent. */
export function parseControllerQos(text: string): Map<string, ControllerQos> {
  const found = new Map<string, ControllerQos>();
  for (const record of text.split(/(?:^|\n)\s*(?=QOS=)/)) {
    const name = /^QOS=([^\s()]+)\(\d+\)/.exec(record)?.[1];
    const priority = Number(/\sPriority=(\d{1,10})(?:\s|$)/.exec(record)?.[1]);
    if (name === undefined || !Number.isSafeInteger(priority)) continue;
    const minutes = /\sMaxWallPJ=(\d{1,10})(?:\s|$)/.exec(record)?.[1];
    const nodes = /\sGrpTRES=\S*?(?<=[=,])node=(\d{1,9})\(/.exec(record)?.[1];
    const mode = /\sPreemptMode=([A-Z,]*)/.exec(record)?.[1] ?? '';
    found.set(name, {
      priority,
      maxMinutes: minutes === undefined ? undefined : Number(minutes),
      maxNodes: nodes === undefined ? undefined : Number(nodes),
      preemptMode:
        mode
          .split(',')
          .map((m) => MODES.get(m.toLowerCase()))
          .find((m) => m !== undefined) ?? 'cluster',
    });
  }
  return found;
}
