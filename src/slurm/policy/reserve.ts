/** Reservations by scontrol: made or changed by name, ended, and read back. What slurmctld acknowledged it may lose in a crash within some six seconds: whoever needs one looks again. */
import {
  type ReservationFact,
  type ReservationOrder,
  reservationOrderSchema,
  SlurmFailure,
} from '../contract/index.ts';
import { controllerAway } from './controller.ts';
import { ownName, type PolicyParts } from './policy-settings.ts';
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
  // Slurm wants somebody whose it is.
  const users =
    order.users.length === 0 && order.accounts.length === 0 ? [settings.maintenanceUser ?? 'root'] : order.users;
  const words = [
    `reservationname=${order.name}`,
    // A reservation that has begun keeps its start.
    ...(begun ? [] : [`starttime=${timeText(order.startMs)}`]),
    `endtime=${timeText(order.endMs)}`,
    ...(order.nodes === undefined
      ? [`nodecnt=${order.nodeCount}`]
      : [`nodes=${order.nodes === 'ALL' ? 'ALL' : order.nodes.join(',')}`]),
    ...(order.partition === undefined ? [] : [`partition=${order.partition}`]),
    ...(order.accounts.length === 0 && (known?.accounts.length ?? 0) === 0
      ? []
      : [`accounts=${order.accounts.join(',')}`]),
    ...(users.length === 0 && (known?.users.length ?? 0) === 0 ? [] : [`users=${users.join(',')}`]),
    ...flagWords(order, known),
  ];
  await scontrol(settings, [
    known === undefined ? 'create' : 'update',
    ...(known === undefined ? ['reservation'] : []),
    ...words,
  ]);
  const less = ourFlags(known?.flags ?? []).filter((f) => !order.flags.some((w) => w === f));
  // A command takes `flags` once.
  if (less.length > 0)
    await scontrol(settings, ['update', `reservationname=${order.name}`, `flags-=${less.join(',')}`]);
  const made = (await settings.reservations()).find((r) => r.name === order.name);
  if (made === undefined || made.endMs !== Math.floor(order.endMs / 1000) * 1000)
    throw new SlurmFailure({
      kind: 'unavailable',
      message: `reservation ${order.name} is not there as asked; ask again`,
    });
  const kept = [
    ...differing('accounts', made.accounts, order.accounts),
    ...differing('users', made.users, users),
    ...differing('flags', ourFlags(made.flags), order.flags),
  ];
  if (kept.length > 0)
    throw new SlurmFailure({
      kind: 'invalid',
      message: `reservation ${order.name}: Slurm keeps ${kept.join('; ')}: end it and make it anew`,
    });
  return made;
}

/** Those that can be asked for; Slurm adds some of its own, such as SPEC_NODES. */
const FLAGS: ReadonlySet<string> = new Set(reservationOrderSchema.shape.flags.element.options);
const ourFlags = (flags: readonly string[]): readonly string[] => flags.filter((f) => FLAGS.has(f));

function flagWords(order: ReservationOrder, known: ReservationFact | undefined): readonly string[] {
  if (known === undefined) return order.flags.length === 0 ? [] : [`flags=${order.flags.join(',')}`];
  const now = ourFlags(known.flags);
  const more = order.flags.filter((f) => !now.includes(f));
  return more.length === 0 ? [] : [`flags+=${more.join(',')}`];
}

function differing(what: string, now: readonly string[], wanted: readonly string[]): readonly string[] {
  const same = [...now].sort().join() === [...wanted].sort().join();
  return same ? [] : [`${what} ${now.join(',') || 'none'} where ${wanted.join(',') || 'none'} was asked for`];
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
