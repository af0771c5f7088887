/**
 * What the chain costs: records through `AuditLog.append`, one call each, committed in groups, against the same rows inserted in groups of the same size
 * into a table with the same columns and indexes, without chain and head. PostgreSQL embedded, fsync on. Issue 3: at least 20,000 records/s.
 */
import { sql } from 'kysely';
import { type AuditEntry, openAuditLog } from '../../src/audit/index.ts';
import type { Database } from '../../src/database/index.ts';
import type { BenchContext, BenchFigure, FigureResult } from '../figure.ts';
import { isResolved, median, medianInterval, runPaired } from '../paired-rounds.ts';
import { recordsLikeLife, startLogDatabase } from './programs/log-database.ts';

const ROUND_RECORDS = 20_000;
/** As many as the log commits at once. */
const GROUP_RECORDS = 2000;

async function insertPlainly(database: Database, entries: readonly AuditEntry[], from: number): Promise<void> {
  for (let at = 0; at < entries.length; at += GROUP_RECORDS) {
    const group = entries.slice(at, at + GROUP_RECORDS);
    const column = (of: (entry: AuditEntry) => unknown) => sql.val(group.map(of));
    await sql`insert into plain_record select ${from + at}::bigint + n, u.at, u.request_id, u.phase, u.caller_kind, u.caller_id,
        u.subject, u.project, u.action, u.resource, u.status, u.detail, sha256(''), 1
      from unnest(${column((e) => e.at.toISOString())}::timestamptz[], ${column((e) => e.requestId)}::text[],
        ${column((e) => e.phase)}::text[], ${column((e) => e.callerKind)}::text[], ${column((e) => e.callerId)}::text[],
        ${column((e) => e.subject)}::text[], ${column((e) => e.project)}::text[], ${column((e) => e.action)}::text[],
        ${column((e) => e.resource)}::text[], ${column((e) => e.status)}::integer[],
        ${column((e) => JSON.stringify(e.detail))}::text[])
        with ordinality as u(at, request_id, phase, caller_kind, caller_id, subject, project, action, resource, status, detail, n)`.execute(
      database.kysely,
    );
  }
}

interface Rates {
  readonly log: number;
  readonly plain: number;
}

async function measureRounds(context: BenchContext): Promise<readonly Rates[]> {
  const { application, owner } = await startLogDatabase(context);
  await sql`create table plain_record (like audit_record_p1 including all)`.execute(owner.kysely);
  const log = openAuditLog(application.kysely);
  let inserted = 0;
  const measure = async (path: 'log' | 'plain'): Promise<number> => {
    const entries = recordsLikeLife(ROUND_RECORDS);
    const began = performance.now();
    if (path === 'log') await Promise.all(entries.map((entry) => log.append(entry)));
    else await insertPlainly(owner, entries, inserted);
    if (path === 'plain') inserted += entries.length;
    return (ROUND_RECORDS / (performance.now() - began)) * 1000;
  };
  for (const path of ['log', 'plain'] as const) await measure(path); // warms code and connections
  const { rounds } = await runPaired(context, {
    paths: ['log', 'plain'],
    measure,
    enough: (so) => isResolved(so.map((r) => r.log / r.plain)),
    describe: (perSecond) => `${Math.round(perSecond)}/s`,
  });
  return rounds;
}

let measured: Promise<readonly Rates[]> | undefined;

/** Both figures are of the same rounds. */
async function roundsOnce(context: BenchContext): Promise<readonly Rates[]> {
  measured ??= measureRounds(context);
  return measured;
}

function detailOf(rounds: readonly Rates[]): NonNullable<FigureResult['detail']> {
  return {
    appendPerSecond: Math.round(median(rounds.map((r) => r.log))),
    plainPerSecond: Math.round(median(rounds.map((r) => r.plain))),
    recordsPerRound: ROUND_RECORDS,
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'audit-append',
    group: 'audit',
    title: 'records through the audit log / the same rows inserted without a chain',
    async run(context) {
      const rounds = await roundsOnce(context);
      const ratios = rounds.map((r) => r.log / r.plain);
      return {
        kind: 'measured',
        result: {
          figure: 'audit-append',
          value: median(ratios),
          unit: 'ratio',
          comparator: 'insert-without-chain',
          rounds: rounds.length,
          spread: medianInterval(ratios),
          resolved: isResolved(ratios),
          detail: detailOf(rounds),
        },
      };
    },
  },
  {
    name: 'audit-append-rate',
    group: 'audit',
    title: 'records through the audit log, a second',
    async run(context) {
      const rounds = await roundsOnce(context);
      const rates = rounds.map((r) => r.log);
      return {
        kind: 'measured',
        result: {
          figure: 'audit-append-rate',
          value: Math.round(median(rates)),
          unit: 'records/s',
          goal: { min: 20_000 },
          rounds: rounds.length,
          spread: [Math.round(Math.min(...rates)), Math.round(Math.max(...rates))],
          detail: detailOf(rounds),
        },
      };
    },
  },
];
