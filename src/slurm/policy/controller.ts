/**
 * slurmctld's own view, because slurmctld decides: what slurmdbd holds is pushed to it, and the push may be lost. On 22.05 `scontrol show assoc_mgr` shows a QoS with priority
 * and limits, but no association's list of QoS; so whether a user may use one is asked as the scheduler answers it, by `sbatch --test-only` as that user: no job comes of it.
 */
import { SlurmFailure } from '../contract/index.ts';
import { type ControllerQos, parseControllerQos } from './parse-qos.ts';
import { isUnixUser, type PolicySettings } from './policy-settings.ts';
import { complaint, type RunResult, runSlurm } from './run-slurm.ts';

const AWAY = /unable to contact|connect failure|connection refused|timed out|communication|not responding|zero bytes/i;

export function controllerAway(result: RunResult): SlurmFailure | undefined {
  if (result.code !== null && !AWAY.test(`${result.stderr}\n${result.stdout}`)) return undefined;
  return new SlurmFailure({ kind: 'unavailable', message: `slurmctld: ${complaint(result)}` });
}

/** The QoS of this name in slurmctld's memory; undefined where it knows none. Throws `unavailable`. */
export async function controllerQos(settings: PolicySettings, name: string): Promise<ControllerQos | undefined> {
  const result = await runSlurm(settings, 'scontrol', {
    args: ['-o', 'show', 'assoc_mgr', 'flags=qos', `qos=${name}`],
  });
  const away = controllerAway(result);
  if (away !== undefined) throw away;
  if (result.code !== 0) throw new SlurmFailure({ kind: 'unavailable', message: `slurmctld: ${complaint(result)}` });
  return parseControllerQos(result.stdout).get(name);
}

/** Jobs that slurmctld holds with this QoS and that have not ended. */
export async function jobsWith(settings: PolicySettings, tier: string): Promise<string[]> {
  const result = await runSlurm(settings, 'squeue', { args: ['-h', '-a', '-o', '%A %q'] });
  const away = controllerAway(result);
  if (away !== undefined) throw away;
  if (result.code !== 0) throw new SlurmFailure({ kind: 'unavailable', message: `slurmctld: ${complaint(result)}` });
  const ids = result.stdout.split('\n').flatMap((line) => {
    const [id = '', qos = ''] = line.trim().split(' ');
    return qos === tier ? [id] : [];
  });
  return [...new Set(ids)];
}

/** May this user submit with this QoS? Undefined: cannot be asked, or slurmctld's answer was about something else. Throws `unavailable`. */
export async function mayUse(
  settings: PolicySettings,
  asked: { readonly account: string; readonly user: string; readonly tier: string },
): Promise<boolean | undefined> {
  const { account, user, tier } = asked;
  if (settings.become === undefined || !isUnixUser(user)) return undefined;
  if (settings.usersOf?.(account).includes(user) !== true) return undefined;
  const result = await runSlurm(settings, 'sbatch', {
    as: user,
    args: [
      '--test-only',
      `--account=${account}`,
      `--qos=${tier}`,
      ...(settings.partition === undefined ? [] : [`--partition=${settings.partition}`]),
      '--nodes=1',
      '--time=1',
      '--output=/dev/null',
      '--wrap=true',
    ],
  });
  const away = controllerAway(result);
  if (away !== undefined) throw away;
  if (/invalid qos/i.test(result.stderr)) return false;
  // A limit of the QoS is met only by who may use it.
  if (result.code === 0 || /accounting\/QOS policy/i.test(result.stderr)) return true;
  settings.log.warn({ account, user, tier, said: complaint(result) }, 'slurmctld did not say whether the QoS is open');
  return undefined;
}
