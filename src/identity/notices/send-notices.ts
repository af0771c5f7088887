/**
 * Finds what ends soon, writes one notice for each thing and threshold, and delivers what is not delivered yet. Any replica may run it at any time: the
 * row is unique, and whoever delivers holds it. A delivery that failed is tried again by the next run.
 */
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import { newId } from '../../id.ts';
import { noticeText, thresholdOf } from './notice.ts';
import { addresseesOf, endingsBetween, holdUndelivered, insertNotice, markDelivered } from './notice-store.ts';
import type { Notifier } from './notify.ts';

export interface NoticeDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly days: readonly number[];
  readonly notifiers: readonly Notifier[];
  readonly log: { warn(fields: object, text: string): void };
}

const DAY_MS = 86_400_000;
const HOLD_MS = 600_000;

export interface NoticeRun {
  readonly written: number;
  readonly delivered: number;
  readonly failed: number;
}

export async function sendNotices(deps: NoticeDeps): Promise<NoticeRun> {
  const { db, clock, days } = deps;
  const now = clock.now();
  let written = 0;
  for (const ending of await endingsBetween(db, new Date(now), new Date(now + Math.max(...days) * DAY_MS))) {
    const threshold = thresholdOf(ending, now, days);
    if (threshold === undefined) continue;
    const { lifeDays: _, words: __, ...thing } = ending;
    const notice = {
      ...thing,
      id: newId('ntc'),
      days: threshold,
      text: noticeText(ending, threshold),
      at: new Date(now),
      deliveredAt: null,
    };
    if (await insertNotice(db, notice)) written += 1;
  }
  let delivered = 0;
  let failed = 0;
  for (const notice of await holdUndelivered(db, new Date(now), new Date(now + HOLD_MS))) {
    const to = await addresseesOf(db, notice.subjects);
    try {
      for (const notifier of deps.notifiers) await notifier.deliver(notice, to);
      await markDelivered(db, notice.id, new Date(clock.now()));
      delivered += 1;
    } catch (cause) {
      failed += 1;
      deps.log.warn({ err: cause, notice: notice.id }, 'a notice could not be delivered; it is tried again');
    }
  }
  return { written, delivered, failed };
}
