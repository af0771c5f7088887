/**
 * Before something ends, whoever answers for it is told: 14, 3 and 1 days before (people.yaml). Pure. Of the thresholds that are passed only the nearest
 * is told; a thing that lives no longer than a threshold is not told of it, so that a token of an hour tells nobody anything.
 */
export type NoticeKind = 'token' | 'allocation' | 'membership';

export interface Ending {
  readonly kind: NoticeKind;
  /** `token/tok_…`, `allocation/PROJECT/CLUSTER/FROM`, `membership/PROJECT/SUBJECT`. */
  readonly thing: string;
  readonly project: string | null;
  readonly subjects: readonly string[];
  readonly endsAt: Date;
  /** Its whole life in days; null: not known, every threshold counts. */
  readonly lifeDays: number | null;
  /** In words: `token tok_… (detector service)`. */
  readonly words: string;
}

export interface Notice extends Omit<Ending, 'lifeDays' | 'words'> {
  readonly id: string;
  /** The threshold that was passed. */
  readonly days: number;
  readonly text: string;
  readonly at: Date;
  readonly deliveredAt: Date | null;
}

const DAY_MS = 86_400_000;

/** The threshold that holds now; undefined: none is passed, or the thing has ended. */
export function thresholdOf(
  ending: Pick<Ending, 'endsAt' | 'lifeDays'>,
  nowMs: number,
  days: readonly number[],
): number | undefined {
  const left = (ending.endsAt.getTime() - nowMs) / DAY_MS;
  if (left <= 0) return undefined;
  const passed = days.filter((d) => left <= d && (ending.lifeDays === null || ending.lifeDays > d));
  return passed.length === 0 ? undefined : Math.min(...passed);
}

export function noticeText(ending: Pick<Ending, 'words' | 'endsAt' | 'project'>, days: number): string {
  const of = ending.project === null ? '' : ` of project ${ending.project}`;
  return `The ${ending.words}${of} ends on ${ending.endsAt.toISOString().slice(0, 16).replace('T', ' ')} UTC, within ${days} ${days === 1 ? 'day' : 'days'}.`;
}
