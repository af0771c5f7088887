/** What moved between two looks at streams: messages and bytes per second. Pure. */
import type { Result } from '../client.ts';

type Stream = Result<'stream.list'>['streams'][number];

export interface Look {
  readonly atMs: number;
  readonly streams: readonly Stream[];
}

export interface StreamRates {
  readonly id: string;
  readonly name: string;
  readonly engine: string;
  readonly state: string;
  /** Per second. Absent where nothing was counted before: a rate needs two looks. */
  readonly messagesIn?: number;
  readonly messagesOut?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly buffered: number;
  readonly bufferedBytes: number;
  /** Part of the buffer in use, from 0 to 1; absent where its size is not known. */
  readonly fill?: number;
  readonly producers: number;
  readonly consumers: number;
  /** Since it was made. */
  readonly dropped: number;
  readonly refused: number;
  /** Messages published without confirms; absent where nobody counts them. */
  readonly unconfirmed?: number;
  /** Part of its quota that is used up, of octets or of messages, whichever is more; absent where there is none. */
  readonly quota?: number;
}

/** In the order of `now`. Counters that went back (the node was started again) count from nothing. */
export function ratesBetween(before: Look | undefined, now: Look): readonly StreamRates[] {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1000;
  return now.streams.map(({ id, name, engine, state, counters, parameters, usage }) => {
    const earlier = before?.streams.find((s) => s.id === id)?.counters;
    const rate = (key: 'messagesIn' | 'messagesOut' | 'bytesIn' | 'bytesOut') => {
      if (counters === null || earlier === null || earlier === undefined || seconds <= 0) return {};
      const moved = counters[key] - earlier[key];
      return { [key]: (moved < 0 ? counters[key] : moved) / seconds };
    };
    const bound = Number(parameters?.['bufferBytes'] ?? 0);
    return {
      id,
      name,
      engine,
      state,
      ...rate('messagesIn'),
      ...rate('messagesOut'),
      ...rate('bytesIn'),
      ...rate('bytesOut'),
      buffered: counters?.buffered ?? 0,
      bufferedBytes: counters?.bufferedBytes ?? 0,
      ...(bound > 0 ? { fill: Math.round(((counters?.bufferedBytes ?? 0) / bound) * 1000) / 1000 } : {}),
      producers: counters?.producers ?? 0,
      consumers: counters?.consumers ?? 0,
      dropped: counters?.dropped ?? 0,
      refused: counters?.refused ?? 0,
      ...(counters?.unconfirmed === undefined ? {} : { unconfirmed: counters.unconfirmed }),
      ...quotaOf(usage),
    };
  });
}

function quotaOf(usage: Stream['usage'] | undefined): Pick<StreamRates, 'quota'> {
  const parts = [
    ...(usage && usage.byteQuota > 0 ? [usage.bytes / usage.byteQuota] : []),
    ...(usage && usage.messageQuota > 0 ? [usage.messages / usage.messageQuota] : []),
  ];
  return parts.length === 0 ? {} : { quota: Math.round(Math.max(...parts) * 1000) / 1000 };
}

export const SORT_KEYS = ['age', 'name', 'in', 'out', 'fill', 'backlog', 'consumers', 'dropped'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

const VALUES: Readonly<Record<Exclude<SortKey, 'age' | 'name'>, (r: StreamRates) => number>> = {
  in: (r) => r.bytesIn ?? 0,
  out: (r) => r.bytesOut ?? 0,
  fill: (r) => r.fill ?? 0,
  backlog: (r) => r.buffered,
  consumers: (r) => r.consumers,
  dropped: (r) => r.dropped + r.refused,
};

/** Most first; names from a to z; `age` leaves the server's order, newest first. Equal ones keep it. */
export function sortRates(rates: readonly StreamRates[], key: SortKey): readonly StreamRates[] {
  if (key === 'age') return rates;
  if (key === 'name') return rates.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const value = VALUES[key];
  return rates.toSorted((a, b) => value(b) - value(a));
}

/** What a person should do something about, in words. */
export function warningsOf({
  name,
  engine,
  state,
  fill = 0,
  unconfirmed = 0,
  quota = 0,
  buffered,
  consumers,
}: StreamRates): readonly string[] {
  if (state !== 'ready') return [];
  const warnings: string[] = [];
  if (engine === 'rabbitmq' && unconfirmed > 0)
    warnings.push(
      `${name}: ${unconfirmed} messages were published without confirms; what a full queue refuses of them is gone and nobody is told: use confirms`,
    );
  if (fill >= NEARLY_FULL)
    warnings.push(
      `${name}: its buffer is ${Math.round(fill * 100)} % full: producers wait or are refused; add consumers`,
    );
  if (quota >= NEARLY_FULL)
    warnings.push(
      `${name}: ${Math.min(100, Math.round(quota * 100))} % of its quota is used up: producers are closed at the end; more by \`beamway stream set\``,
    );
  if (buffered > 0 && consumers === 0) warnings.push(`${name}: ${buffered} messages wait and no consumer is connected`);
  return warnings;
}

const NEARLY_FULL = 0.9;
