/** Reservations by scontrol: made or changed by name, ended, and read back. What slurmctld acknowledged it may lose in a crash within some six seconds: whoever needs one looks again. */
import { type ReservationFact, type ReservationOrder, SlurmFailure } from '../contract/index.ts';
import { controllerAway } from './controller.ts';
import type { PolicyParts } from './open-policy.ts';
import { ownName } from './policy-settings.ts';
import { complaint, runSlurm } from './run-slurm.ts';

export async function reserve(settings: PolicyParts, order: ReservationOrder): Promise<ReservationFact> {
  ownName(settings, order.name, 'reservation');
  if (order.endMs <= order.startMs) throw new SlurmFailure({ kind: 'invalid', message: 'end: must be after start' });
  if (order.nodes === undefined && order.nodeCount === undefined)
    throw new SlurmFailure({ kind: 'invalid', message: 'nodes or nodeCount: one of them' });
  const why = settings.mayReserve?.(order);
  if (why !== undefined) throw new SlurmFailure({ kind: 'refused', message: why });
  const known = (await settings.reservations()).find((r) => r.name === order.name);
  const begun = known !== undefined && known.startMs <= settings.clock.now();
  const words = [
    `reservationname=${order.name}`,
    // A reservation that has begun keeps its start.
    ...(begun ? [] : [`starttime=${timeText(order.startMs)}`]),
    `endtime=${timeText(order.endMs)}`,
    ...(order.nodes === undefined
      ? [`nodecnt=${order.nodeCount}`]
      : [`nodes=${order.nodes === 'ALL' ? 'ALL' : order.nodes.join(',')}`]),
    ...(order.partition === undefined ? [] : [`partition=${order.partition}`]),
    ...(order.accounts.length === 0 ? [] : [`accounts=${order.accounts.join(',')}`]),
    ...(order.users.length > 0
      ? [`users=${order.users.join(',')}`]
      : order.accounts.length === 0
        ? [`users=${settings.maintenanceUser ?? 'root'}`]
        : []),
    ...(known === undefined && order.flags.length > 0 ? [`flags=${order.flags.join(',')}`] : []),
  ];
  await scontrol(settings, [
    known === undefined ? 'create' : 'update',
    ...(known === undefined ? ['reservation'] : []),
    ...words,
  ]);
  const made = (await settings.reservations()).find((r) => r.name === order.name);
  if (made === undefined || made.endMs !== Math.floor(order.endMs / 1000) * 1000)
    throw new SlurmFailure({
      kind: 'unavailable',
      message: `reservation ${order.name} is not there as asked; ask again`,
    });
  return made;
}

/** One in use is ended now instead of deleted: deleting would be refused, or hold the jobs that wait for it. */
export async function endReservation(settings: PolicyParts, name: string): Promise<void> {
  ownName(settings, name, 'reservation');
  const known = (await settings.reservations()).find((r) => r.name === name);
  if (known === undefined) return;
  try {
    await scontrol(settings, ['delete', `reservationname=${name}`]);
  } catch (cause) {
    if (!(cause instanceof SlurmFailure) || !/in use/i.test(cause.message)) throw cause;
    // One that comes again every day would.
    const again = known.flags.filter((f) => f === 'DAILY' || f === 'WEEKLY').map((f) => `flags-=${f}`);
    await scontrol(settings, ['update', `reservationname=${name}`, 'endtime=now+1', ...again]);
  }
}

async function scontrol(settings: PolicyParts, args: readonly string[]): Promise<void> {
  const ran = await runSlurm(settings, 'scontrol', { args });
  const away = controllerAway(ran);
  if (away !== undefined) throw away;
  if (ran.code === 0 && !/error/i.test(ran.stderr)) return;
  const text = complaint(ran);
  throw new SlurmFailure({
    kind: /denied|permission/i.test(text) ? 'refused' : 'invalid',
    message: `the reservation: ${text}`,
  });
}

const timeText = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
