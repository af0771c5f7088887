/** Pages through the accounting database, oldest first. A page's end is named by its last row, so that rows which come meanwhile move nothing. */

import type { AccountingRow } from '../batch-order.ts';
import type { ActInput, ActOutput, HistoryRow } from '../contract/index.ts';
import { SlurmFailure } from '../contract/index.ts';
import type { AgentDeps } from './agent-jobs.ts';
import { parseComment } from './job-state.ts';

export async function historyPage(deps: AgentDeps, input: ActInput<'history'>): Promise<ActOutput<'history'>> {
  const { asker, ownProject, sinceMs, untilMs, after, limit } = input;
  if (untilMs <= sinceMs) throw new SlurmFailure({ kind: 'invalid', message: 'until must be after since' });
  const account = ownProject ? (await deps.mapUser(asker)).account : undefined;
  const rows = await deps.read.history({ sinceMs, untilMs, ...(account === undefined ? {} : { account }) });
  const sorted = [...rows].sort((a, b) => comparePlace(placeOf(a), placeOf(b)));
  const start = after === undefined ? 0 : sorted.findIndex((row) => comparePlace(placeOf(row), parsePlace(after)) > 0);
  const page = start < 0 ? [] : sorted.slice(start, start + limit);
  const last = page.at(-1);
  const more = start >= 0 && start + limit < sorted.length;
  return {
    rows: page.map((row) => view(row)),
    next: more && last !== undefined ? textOf(placeOf(last)) : null,
  };
}

type Place = readonly [submitMs: number, startMs: number, id: string];

const placeOf = (row: AccountingRow): Place => [row.submittedAtMs, row.startedAtMs ?? 0, row.nativeId];
const textOf = (place: Place): string => place.join('/');

function parsePlace(text: string): Place {
  const [submit, start, id] = text.split('/');
  const [submitMs, startMs] = [Number(submit), Number(start)];
  if (id === undefined || !Number.isSafeInteger(submitMs) || !Number.isSafeInteger(startMs))
    throw new SlurmFailure({ kind: 'invalid', message: 'after: not the `next` of a page' });
  return [submitMs, startMs, id];
}

function comparePlace(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0);
}

function view({ comment, signal: _, reasonCode: __, ...row }: AccountingRow): HistoryRow {
  const key = parseComment(comment)?.key;
  return { ...row, ...(key === undefined ? {} : { key }) };
}
