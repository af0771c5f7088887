// Whether the demonstration showed what it is meant to show. Pure: facts in, verdict, table and summary out. Every demand is a row of its own.
import type { BeamlineSummary } from '../beamline/summary.ts';
import type { Row } from './narrate.ts';

export type Facts = {
  readonly beamline: BeamlineSummary;
  readonly beamlineExit: number;
  readonly run: string;
  readonly streamsReleased: boolean;
  readonly preempted: number;
  readonly resumed: number;
  /** Submission to start of the urgent job, ms. */
  readonly urgentStartMs: number;
  readonly audit: { readonly intact: boolean; readonly records: number; readonly head: string };
  readonly chaos: { readonly sentMeanwhile: number; readonly needed: number; readonly downMs: number } | null;
  readonly durationMs: number;
};

export type Verdict = {
  readonly ok: boolean;
  readonly rows: readonly Row[];
  readonly summary: object;
  /** The closing line. */
  readonly line: string;
};

/** Spots of 6 sigma and more: share found, and share of found peaks that are true. */
const LEAST_SHARE = 0.95;

const percent = (share: number | null): string => (share === null ? 'not claimed' : `${(share * 100).toFixed(1)} %`);
const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

export function judge(facts: Facts): Verdict {
  const { beamline: b, chaos } = facts;
  const model = b.source === 'model';
  const row = (label: string, value: string, outcome?: boolean, note?: string): Row => ({
    label,
    value,
    ...(outcome === undefined ? {} : { outcome: outcome ? ('good' as const) : ('bad' as const) }),
    ...(note === undefined ? {} : { note }),
  });
  const rows: Row[] = [
    row(
      'frames',
      `${b.sent} sent, ${b.answered} analysed, ${b.lost.length} lost, ${b.duplicated} duplicated`,
      b.lost.length === 0 && b.duplicated === 0 && b.answered === b.sent,
    ),
    row(
      'content',
      b.digestsEqual ? 'every digest equal at both ends' : 'digests differ',
      b.digestsEqual,
      'SHA-256 of each frame',
    ),
    row(
      'rate',
      `${b.framesPerSecond.toFixed(0)} frames/s, ${b.megabytesPerSecond.toFixed(0)} MB/s`,
      undefined,
      'bounded by the detector and the peak finder on this machine',
    ),
    row('frame to result', b.latencyMs === null ? '-' : `p50 ${ms(b.latencyMs.p50)}, p99 ${ms(b.latencyMs.p99)}`),
    row(
      'urgent job started',
      `after ${ms(facts.urgentStartMs)}`,
      Number.isFinite(facts.urgentStartMs),
      'in a full cluster, from submission',
    ),
    row(
      'batch jobs',
      `${facts.preempted} preempted, ${facts.resumed} resumed`,
      facts.preempted > 0 && facts.resumed > 0,
    ),
    ...(model
      ? [
          row(
            'steering',
            `${b.steeringChanges} decisions, ${b.framesSteered} frames changed`,
            b.framesSteered > 0,
            `hit rate ${percent(b.hitRateBeforeSteering)} before, ${percent(b.hitRateAfter)} after`,
          ),
          row(
            'peaks of 6 sigma and more',
            `recall ${percent(b.recall)}, precision ${percent(b.precision)}`,
            (b.recall ?? 0) >= LEAST_SHARE && (b.precision ?? 0) >= LEAST_SHARE,
          ),
        ]
      : [row('replayed frames', `${b.skippedFiles.length} files skipped`, undefined, 'no recall is claimed')]),
    ...(chaos === null
      ? []
      : [
          row(
            'control plane killed',
            `${chaos.sentMeanwhile} frames sent while it was down for ${(chaos.downMs / 1000).toFixed(1)} s`,
            chaos.sentMeanwhile >= chaos.needed,
          ),
        ]),
    row('run', facts.run, facts.run === 'completed'),
    row('streams', facts.streamsReleased ? 'released' : 'not released', facts.streamsReleased),
    row('audit chain', facts.audit.intact ? `${facts.audit.records} records, intact` : 'broken', facts.audit.intact),
  ];
  const ok = facts.beamlineExit === 0 && rows.every((r) => r.outcome !== 'bad');
  const line = [
    `demo: ${b.sent} frames sent, ${b.answered} analysed, ${b.lost.length} lost`,
    `${facts.preempted} batch jobs preempted and ${facts.resumed} resumed`,
    ...(model
      ? [
          `recall ${(b.recall ?? 0).toFixed(3)}`,
          `precision ${(b.precision ?? 0).toFixed(3)}`,
          `${b.framesSteered} frames steered`,
        ]
      : []),
    ...(chaos === null ? [] : [`${chaos.sentMeanwhile} sent while the control plane was down`]),
    ok ? 'ok' : 'FAILED',
  ].join(', ');
  const { positions: _, ...measured } = b;
  return { ok, rows, line, summary: { ok, ...facts, beamline: measured } };
}
