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
  readonly state: string;
  /** Per second. Absent where nothing was counted before: a rate needs two looks. */
  readonly messagesIn?: number;
  readonly messagesOut?: number;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly buffered: number;
  readonly bufferedBytes: number;
  readonly producers: number;
  readonly consumers: number;
  /** Since it was made. */
  readonly dropped: number;
  readonly refused: number;
}

/** In the order of `now`. Counters that went back (the node was started again) count from nothing. */
export function ratesBetween(before: Look | undefined, now: Look): readonly StreamRates[] {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1000;
  return now.streams.map(({ id, name, state, counters }) => {
    const earlier = before?.streams.find((s) => s.id === id)?.counters;
    const rate = (key: 'messagesIn' | 'messagesOut' | 'bytesIn' | 'bytesOut') => {
      if (counters === null || earlier === null || earlier === undefined || seconds <= 0) return {};
      const moved = counters[key] - earlier[key];
      return { [key]: (moved < 0 ? counters[key] : moved) / seconds };
    };
    return {
      id,
      name,
      state,
      ...rate('messagesIn'),
      ...rate('messagesOut'),
      ...rate('bytesIn'),
      ...rate('bytesOut'),
      buffered: counters?.buffered ?? 0,
      bufferedBytes: counters?.bufferedBytes ?? 0,
      producers: counters?.producers ?? 0,
      consumers: counters?.consumers ?? 0,
      dropped: counters?.dropped ?? 0,
      refused: counters?.refused ?? 0,
    };
  });
}
