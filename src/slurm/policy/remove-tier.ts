/**
 * Act `removeTier`: removes a QoS of ours that nobody holds. Slurm removes one in use without a word (22.05.8: its running job then has no QoS, its pending ones are held),
 * so it is refused here. A QoS belongs to all clusters of one slurmdbd; jobs are looked for in this one only, associations in all.
 */
import { type ActInput, type ActOutput, SlurmFailure } from '../contract/index.ts';
import { controllerQos, jobsWith } from './controller.ts';
import { converge, type Look } from './converge.ts';
import { changeDatabase, holdersOf, listTiersOf } from './database.ts';
import { ownName, type PolicySettings } from './policy-settings.ts';

const some = (names: readonly string[]): string =>
  `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;

/** Removing what is not there is done. Throws `refused` where it is in use, naming by what. */
export async function removeTier(
  settings: PolicySettings,
  input: ActInput<'removeTier'>,
): Promise<ActOutput<'removeTier'>> {
  const name = ownName(settings, input.name, 'QoS');
  const look = async (): Promise<Look<true>> => {
    if ((await listTiersOf(settings)).some((t) => t.name === name))
      return { lags: 'slurmdbd', why: `QoS ${name} is still there` };
    if ((await controllerQos(settings, name)) !== undefined)
      return { lags: 'slurmctld', why: `it still has QoS ${name}` };
    return { settled: true };
  };
  const push = async (): Promise<SlurmFailure | undefined> => {
    // Associations first: once none holds it, no user's new job can name it.
    const holders = await holdersOf(settings, name);
    if (holders.length > 0)
      throw new SlurmFailure({ kind: 'refused', message: `QoS ${name} is granted to ${some(holders)}` });
    const jobs = await jobsWith(settings, name);
    if (jobs.length > 0)
      throw new SlurmFailure({ kind: 'refused', message: `QoS ${name} is used by jobs ${some(jobs)}` });
    return changeDatabase(settings, [['remove', 'qos', name]]);
  };
  await converge(settings, { look, push });
  return {};
}
