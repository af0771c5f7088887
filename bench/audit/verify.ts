/**
 * What verification costs: the whole chain read from PostgreSQL and hashed, against SHA-256 of the same bytes that lie in memory already, on one thread.
 * Issue 3: at least 200,000 records/s.
 */
import { hash } from 'node:crypto';
import { openAuditLog, recordJson, recordsPage, verifyChain } from '../../src/audit/index.ts';
import type { BenchContext, BenchFigure, FigureResult } from '../figure.ts';
import { isResolved, median, medianInterval, runPaired } from '../paired-rounds.ts';
import { recordsLikeLife, startLogDatabase } from './programs/log-database.ts';

const RECORDS = 200_000;
const WAVE_RECORDS = 20_000;

interface Rates {
  readonly verify: number;
  readonly hash: number;
}

async function measureRounds(context: BenchContext): Promise<readonly Rates[]> {
  const { application } = await startLogDatabase(context);
  const db = application.kysely;
  const log = openAuditLog(db);
  for (let written = 0; written < RECORDS; written += WAVE_RECORDS)
    await Promise.all(recordsLikeLife(WAVE_RECORDS).map((entry) => log.append(entry)));
  const some = (await recordsPage(db, { limit: 1000 })).map((record) => {
    const { digest: _, ...fields } = recordJson(record);
    const canonical = JSON.stringify(Object.values({ ...fields, detail: JSON.stringify(fields.detail) }));
    return Buffer.concat([Buffer.alloc(32), Buffer.from(canonical)]);
  });
  const measure = async (path: 'verify' | 'hash'): Promise<number> => {
    const began = performance.now();
    if (path === 'hash')
      for (let done = 0; done < RECORDS; done += some.length) for (const bytes of some) hash('sha256', bytes, 'buffer');
    else {
      const report = await verifyChain(db);
      if (!report.intact || report.records !== RECORDS) throw new Error(JSON.stringify(report));
    }
    return (RECORDS / (performance.now() - began)) * 1000;
  };
  for (const path of ['verify', 'hash'] as const) await measure(path); // warms code and cache
  const { rounds } = await runPaired(context, {
    paths: ['verify', 'hash'],
    measure,
    enough: (so) => isResolved(so.map((r) => r.verify / r.hash)),
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
    verifyPerSecond: Math.round(median(rounds.map((r) => r.verify))),
    hashPerSecond: Math.round(median(rounds.map((r) => r.hash))),
    records: RECORDS,
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'audit-verify',
    group: 'audit',
    title: 'verification of the chain / SHA-256 of the same bytes alone',
    async run(context) {
      const rounds = await roundsOnce(context);
      const ratios = rounds.map((r) => r.verify / r.hash);
      return {
        kind: 'measured',
        result: {
          figure: 'audit-verify',
          value: median(ratios),
          unit: 'ratio',
          comparator: 'sha256-alone',
          rounds: rounds.length,
          spread: medianInterval(ratios),
          resolved: isResolved(ratios),
          detail: detailOf(rounds),
        },
      };
    },
  },
  {
    name: 'audit-verify-rate',
    group: 'audit',
    title: 'records verified a second',
    async run(context) {
      const rounds = await roundsOnce(context);
      const rates = rounds.map((r) => r.verify);
      return {
        kind: 'measured',
        result: {
          figure: 'audit-verify-rate',
          value: Math.round(median(rates)),
          unit: 'records/s',
          goal: { min: 200_000 },
          rounds: rounds.length,
          spread: [Math.round(Math.min(...rates)), Math.round(Math.max(...rates))],
          detail: detailOf(rounds),
        },
      };
    },
  },
];
