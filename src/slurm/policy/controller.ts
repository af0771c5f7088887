/**
 * slurmctld's own view, because slurmctld decides: what slurmdbd holds is pushed to it, and the push may be lost. On 22.05 `scontrol show assoc_mgr` shows a QoS with priority
 * and limits, but no association's list of QoS; of those it can only be said whether slurmctld is there to be told.
 */
import { SlurmFailure } from '../contract/index.ts';
import { type ControllerQos, parseControllerQos } from './parse-qos.ts';
import type { PolicySettings } from './policy-settings.ts';
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

/** Why what slurmdbd holds may not have reached slurmctld; undefined: it is registered there, and so is told of each change. */
export async function controllerLags(settings: PolicySettings): Promise<string | undefined> {
  const args = ['-nP', 'list', 'cluster', settings.cluster, 'format=controlhost,controlport'];
  const { stdout } = await runSlurm(settings, 'sacctmgr', { args });
  const [host = '', port = ''] = stdout.trim().split('|');
  return host !== '' && Number(port) > 0 ? undefined : 'slurmctld is not registered with slurmdbd now';
}
