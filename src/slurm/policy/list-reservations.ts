/** What slurmctld holds of reservations: the only one that knows them, slurmdbd keeps their past. */
import { type ReservationFact, SlurmFailure } from '../contract/index.ts';
import { controllerAway } from './controller.ts';
import { parseReservations } from './parse-reservations.ts';
import type { PolicySettings } from './policy-settings.ts';
import { complaint, runSlurm } from './run-slurm.ts';

/** Throws `unavailable`. */
export async function listReservations(settings: PolicySettings): Promise<ReservationFact[]> {
  const result = await runSlurm(settings, 'scontrol', { args: ['-a', '-o', 'show', 'reservation'] });
  const away = controllerAway(result);
  if (away !== undefined) throw away;
  if (result.code !== 0) throw new SlurmFailure({ kind: 'unavailable', message: `slurmctld: ${complaint(result)}` });
  return parseReservations(result.stdout);
}

/** Runs `scontrol create|update|delete reservation`; what it complained of, if it did. */
export async function changeReservation(
  settings: PolicySettings,
  args: readonly string[],
): Promise<SlurmFailure | undefined> {
  for (const arg of args)
    if (!/^[A-Za-z0-9_.,=+:-]+$/.test(arg))
      throw new SlurmFailure({ kind: 'invalid', message: `${JSON.stringify(arg)} cannot be an argument of scontrol` });
  const result = await runSlurm(settings, 'scontrol', { args });
  if (result.code === 0) return undefined;
  const away = controllerAway(result);
  if (away !== undefined) return away;
  const kind = /permission|denied|privilege/i.test(result.stderr) ? 'refused' : 'invalid';
  return new SlurmFailure({ kind, message: `slurmctld: ${complaint(result)}` });
}
