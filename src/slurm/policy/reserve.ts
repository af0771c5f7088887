/**
 * Act `reserve`: makes a reservation of ours, or changes the one of that name to what is asked. slurmctld saves its state some seconds later (seen: up to 6 s): one that was
 * acknowledged is lost when it is killed meanwhile, so whoever needs it asks again until it lasts. Traps of 22.05.8, each seen: below.
 */
import {
  type ActInput,
  type ActOutput,
  type ReservationFact,
  type ReservationOrder,
  SlurmFailure,
} from '../contract/index.ts';
import { converge, type Look } from './converge.ts';
import { changeReservation, listReservations } from './list-reservations.ts';
import { ownName, type PolicySettings } from './policy-settings.ts';

const OUR_FLAGS = ['MAINT', 'IGNORE_JOBS', 'FLEX', 'MAGNETIC', 'OVERLAP', 'DAILY', 'WEEKLY', 'PURGE_COMP', 'ANY_NODES'];
const DAY_MS = 86_400_000;

/** Asking again for what is there writes nothing. Throws `refused`, `invalid`, `unavailable`. */
export async function reserve(settings: PolicySettings, input: ActInput<'reserve'>): Promise<ActOutput<'reserve'>> {
  const order = checkOrder(settings, input.reservation);
  let found: ReservationFact | undefined;
  const look = async (): Promise<Look<ReservationFact>> => {
    found = (await listReservations(settings)).find((r) => r.name === order.name);
    if (found === undefined) return { lags: 'slurmctld', why: `no reservation ${order.name}` };
    const { startMs, endMs, nodes, other } = differences(order, found, settings.clock.now());
    if (startMs || endMs || nodes || other)
      return { lags: 'slurmctld', why: `reservation ${order.name} is not as asked` };
    return { settled: found };
  };
  const push = (): Promise<SlurmFailure | undefined> =>
    changeReservation(
      settings,
      found === undefined ? createArgs(settings, order) : updateArgs(order, found, settings.clock.now()),
    );
  return { reservation: await converge(settings, { look, push }) };
}

function checkOrder(settings: PolicySettings, asked: ReservationOrder): ReservationOrder {
  ownName(settings, asked.name, 'reservation');
  const fault = (kind: 'invalid' | 'refused', message: string): never => {
    throw new SlurmFailure({ kind, message: `${asked.name}: ${message}` });
  };
  // Slurm counts in seconds.
  const order = {
    ...asked,
    flags: [...new Set(asked.flags)],
    startMs: Math.floor(asked.startMs / 1000) * 1000,
    endMs: Math.floor(asked.endMs / 1000) * 1000,
    users: asked.users.length + asked.accounts.length > 0 ? asked.users : [settings.maintenanceUser ?? 'root'],
  };
  if (!(order.endMs > order.startMs)) fault('invalid', 'it ends before it begins');
  if (order.endMs <= settings.clock.now()) fault('invalid', 'its end is past');
  if (order.endMs > settings.clock.now() + 3650 * DAY_MS) fault('invalid', 'it ends more than ten years from now');
  if (order.flags.includes('DAILY') && order.flags.includes('WEEKLY')) fault('invalid', 'daily and weekly at once');
  if (Array.isArray(order.nodes) && order.nodes.length === 0) fault('invalid', 'an empty list of nodes');
  const record = order.flags.includes('ANY_NODES') && order.nodes === undefined && order.nodeCount === undefined;
  if (record && settings.recordLicense === undefined)
    fault('invalid', 'a reservation without nodes holds a licence, and none is set for that on this cluster');
  if (!record && order.nodes === undefined && order.nodeCount === undefined)
    fault('invalid', 'neither nodes nor their number');
  const why = settings.mayReserve?.(order);
  if (why !== undefined) fault('refused', why);
  return order;
}

const secondsText = (ms: number): string => new Date(ms).toISOString().slice(0, 19);

function createArgs(settings: PolicySettings, order: ReservationOrder): string[] {
  const now = settings.clock.now();
  return [
    ...['create', 'reservation', `reservationname=${order.name}`],
    // Slurm refuses a start that is past.
    `starttime=${order.startMs <= now ? 'now' : secondsText(order.startMs)}`,
    `endtime=${secondsText(order.endMs)}`,
    ...placeArgs(order),
    ...(order.nodes === undefined && order.nodeCount === undefined ? [`licenses=${settings.recordLicense ?? ''}`] : []),
    ...(order.partition === undefined ? [] : [`partitionname=${order.partition}`]),
    ...(order.flags.length === 0 ? [] : [`flags=${order.flags.join(',')}`]),
    ...(order.accounts.length === 0 ? [] : [`accounts=${order.accounts.join(',')}`]),
    ...(order.users.length === 0 ? [] : [`users=${order.users.join(',')}`]),
  ];
}

const placeArgs = ({ nodes, nodeCount }: ReservationOrder): string[] => {
  if (nodes !== undefined) return [`nodes=${nodes === 'ALL' ? nodes : nodes.join(',')}`];
  return nodeCount === undefined ? [] : [`nodecnt=${nodeCount}`];
};

/** Exported for its test. */
export function updateArgs(order: ReservationOrder, found: ReservationFact, now: number): string[] {
  const { startMs, endMs, nodes, gone, added } = differences(order, found, now);
  const begun = found.startMs <= now;
  return [
    ...['update', `reservation=${order.name}`],
    ...(startMs && !begun ? [`starttime=${order.startMs <= now ? 'now' : secondsText(order.startMs)}`] : []),
    ...(endMs || startMs ? [`endtime=${secondsText(order.endMs)}`] : []),
    ...(nodes ? placeArgs(order) : []),
    ...(order.partition === undefined || order.partition === found.partition ? [] : [`partitionname=${order.partition}`]),
    // `flags=` only adds; what is no longer asked is taken away by name. One of them a command: the next look finds what is left to do.
    ...(gone.length > 0 ? [`flags-=${gone.join(',')}`] : added.length > 0 ? [`flags+=${added.join(',')}`] : []),
    // Whole lists, both, always: `accounts-=X` on a list without X makes a reservation for everybody but X.
    `accounts=${order.accounts.join(',')}`,
    `users=${order.users.join(',')}`,
  ];
}

interface Differences {
  readonly startMs: boolean;
  readonly endMs: boolean;
  readonly nodes: boolean;
  readonly gone: readonly string[];
  readonly added: readonly string[];
  /** Of flags, partition, accounts, users. */
  readonly other: boolean;
}

function differences(order: ReservationOrder, found: ReservationFact, now: number): Differences {
  const held = found.flags.filter((f) => OUR_FLAGS.includes(f));
  const gone = held.filter((f) => !order.flags.some((o) => o === f));
  const added = order.flags.filter((f) => !held.includes(f));
  const periodMs = order.flags.includes('DAILY') ? DAY_MS : order.flags.includes('WEEKLY') ? 7 * DAY_MS : undefined;
  // One that repeats has moved on by whole periods since it was asked for.
  const moved = found.startMs - order.startMs;
  const onBeat = periodMs !== undefined && moved >= 0 && moved % periodMs === 0;
  const startMs = !onBeat && moved !== 0 && !(found.startMs <= now && order.startMs <= now);
  return {
    startMs,
    endMs: found.endMs - order.endMs !== (onBeat ? moved : 0),
    nodes:
      Array.isArray(order.nodes)
        ? !sameWords(order.nodes, found.nodes)
        : order.nodes === 'ALL'
          ? !found.flags.includes('ALL_NODES')
          : order.nodeCount !== undefined && order.nodeCount !== found.nodeCount,
    gone,
    added,
    other:
      gone.length + added.length > 0 ||
      (order.partition !== undefined && order.partition !== found.partition) ||
      !sameWords(order.accounts, found.accounts) ||
      !sameWords(order.users, found.users),
  };
}

const sameWords = (a: readonly string[], b: readonly string[]): boolean =>
  [...new Set(a)].toSorted().join(',') === [...new Set(b)].toSorted().join(',');
