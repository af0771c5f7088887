/**
 * Act `endReservation`: removes a reservation of ours; one with running jobs, which Slurm does not delete, ends now and no longer repeats. Its jobs are then ended by Slurm as
 * ResvOverRun says (on a tick of 30 s), and Slurm removes it. Pending jobs that name it are held by Slurm.
 */
import type { ActInput, ActOutput, SlurmFailure } from '../contract/index.ts';
import { converge, type Look } from './converge.ts';
import { changeReservation, listReservations } from './list-reservations.ts';
import { ownName, type PolicySettings } from './policy-settings.ts';

/** Of one that is not there: done. Throws `refused`, `unavailable`. */
export async function endReservation(
  settings: PolicySettings,
  input: ActInput<'endReservation'>,
): Promise<ActOutput<'endReservation'>> {
  const name = ownName(settings, input.name, 'reservation');
  let repeats: readonly string[] = [];
  const look = async (): Promise<Look<true>> => {
    const found = (await listReservations(settings)).find((r) => r.name === name);
    repeats = (found?.flags ?? []).filter((f) => ['DAILY', 'WEEKLY', 'HOURLY', 'WEEKDAY', 'WEEKEND'].includes(f));
    const ended = found === undefined || (found.endMs <= settings.clock.now() && repeats.length === 0);
    return ended ? { settled: true } : { lags: 'slurmctld', why: `reservation ${name} goes on` };
  };
  const push = async (): Promise<SlurmFailure | undefined> => {
    const fault = await changeReservation(settings, ['delete', `reservation=${name}`]);
    if (fault === undefined || !fault.message.includes('in use')) return fault;
    return changeReservation(settings, [
      ...['update', `reservation=${name}`, 'endtime=now+1'],
      ...(repeats.length === 0 ? [] : [`flags-=${repeats.join(',')}`]),
    ]);
  };
  await converge(settings, { look, push });
  return {};
}
