/**
 * What is known of a site when its rules are run: settings, QoS, associations, and what only a look at the host can say. Pure; absent means "not looked at", and no rule takes
 * that for good or bad. Defaults are those of Slurm 22.05's manual page, used only where a slurm.conf is silent; a live controller prints its own.
 */
import type { AssociationRow, QosRow } from './read-accounting.ts';
import { type Conf, secondsIn } from './read-conf.ts';

export interface Site {
  /** For the report's first line. */
  readonly source: string;
  readonly live: boolean;
  readonly conf: Conf;
  readonly qos?: readonly QosRow[];
  readonly associations?: readonly AssociationRow[];
  /** Permission bits of the file that jwt_key names. */
  readonly jwtKeyMode?: number;
  readonly stateFilesystem?: 'memory' | 'disk';
  readonly rest?: { readonly url: string; readonly fault?: string };
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[];
}

const DEFAULTS: Readonly<Record<string, string>> = {
  accountingstorageenforce: '',
  accountingstoreflags: '',
  inactivelimit: '0',
  jobrequeue: '1',
  killwait: '30',
  maxarraysize: '1001',
  minjobage: '300',
  overtimelimit: '0',
  preemptmode: 'OFF',
  preempttype: 'preempt/none',
  prioritytype: 'priority/basic',
  priorityweightqos: '0',
  proctracktype: 'proctrack/cgroup',
  propagateresourcelimits: 'ALL',
  schedulertype: 'sched/backfill',
  slurmctldtimeout: '120',
  slurmdtimeout: '300',
  statesavelocation: '/var/spool',
};

export function setting(site: Site, name: string): string {
  const key = name.toLowerCase();
  return site.conf.settings.get(key) ?? (site.live ? '' : (DEFAULTS[key] ?? ''));
}

/** Undefined where it says no duration. */
export const settingSeconds = (site: Site, name: string): number | undefined => secondsIn(setting(site, name));

export const wordsOf = (text: string): readonly string[] =>
  text
    .split(',')
    .map((w) => w.trim())
    .filter((w) => w !== '');

/** The value of `name=value` in a list such as SchedulerParameters; '' for a bare word, undefined where it is not there. */
export function parameter(site: Site, list: string, name: string): string | undefined {
  for (const word of wordsOf(setting(site, list))) {
    const [key = '', ...value] = word.split('=');
    if (key.toLowerCase() === name.toLowerCase()) return value.join('=');
  }
  return undefined;
}

/** A number of that list, or what Slurm takes without it; undefined where it says no number. */
export function parameterNumber(
  site: Site,
  list: string,
  { name, without }: { readonly name: string; readonly without: number },
): number | undefined {
  const text = parameter(site, list, name);
  if (text === undefined) return without;
  return /^-?\d{1,12}$/.test(text) ? Number(text) : undefined;
}

/** 22.05 for 22.05.8; undefined where the site did not say. */
export function release(site: Site): number | undefined {
  const match = /^(\d{2})\.(\d{2})\./.exec(setting(site, 'SLURM_VERSION'));
  return match === null ? undefined : Number(`${match[1]}.${match[2]}`);
}
