/**
 * What bounds the policy acts, from the agent's own settings, whatever it is asked: which QoS and reservations are ours (by prefix), whose accounts may be given them,
 * whom they may preempt. Names are checked here before they become an argument of a command. RFD 4, second port.
 */
import type { Clock } from '../../clock.ts';
import { type ReservationFact, type ReservationOrder, SlurmFailure } from '../contract/index.ts';

export interface PolicySettings {
  /** Absolute folder of sacctmgr, scontrol, squeue, sbatch. */
  readonly binDir: string;
  readonly slurmConf: string;
  /** Slurm's ClusterName. */
  readonly cluster: string;
  /** QoS and reservations that we make, change and remove begin so. Never empty. */
  readonly prefix: string;
  /** From the mapping; undefined where the project is not mapped. */
  accountOf(project: string): string | undefined;
  /** Why this reservation may not be made; undefined: it may. */
  mayReserve?(order: ReservationOrder): string | undefined;
  /** QoS that ours may preempt; absent: any that stands below. */
  readonly mayPreempt?: readonly string[];
  /** At most 65535, which is where Slurm clips. */
  readonly highestPriority?: number;
  /** Whose a reservation for nobody is, as Slurm demands one: default root. */
  readonly maintenanceUser?: string;
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

export interface PolicyParts extends PolicySettings {
  readonly reservations: () => Promise<readonly ReservationFact[]>;
}

export const HIGHEST_PRIORITY = 65_535;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/;

export const isName = (text: string): boolean => NAME.test(text);

/** Throws `invalid` for what is no name, `refused` for what is not ours. */
export function ownName(settings: PolicySettings, name: string, what: 'QoS' | 'reservation'): string {
  if (!isName(name))
    throw new SlurmFailure({ kind: 'invalid', message: `${JSON.stringify(name)} is no name of a ${what}` });
  // Slurm keeps QoS names in lower case: one in capitals would never be found again.
  if (what === 'QoS' && name !== name.toLowerCase())
    throw new SlurmFailure({ kind: 'invalid', message: `${name}: names of QoS are in lower case` });
  if (settings.prefix === '' || !name.startsWith(settings.prefix) || name === settings.prefix)
    throw new SlurmFailure({
      kind: 'refused',
      message: `${name}: only a ${what} whose name begins with ${settings.prefix} may be changed from here`,
    });
  return name;
}

/** Throws `refused` where the project is not in the mapping. */
export function mappedAccount(settings: PolicySettings, project: string): string {
  const account = settings.accountOf(project);
  if (account === undefined || !isName(account))
    throw new SlurmFailure({ kind: 'refused', message: `project ${project} has no account on this cluster` });
  return account;
}
