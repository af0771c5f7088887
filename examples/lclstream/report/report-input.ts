// What the report is made of. Times are Unix milliseconds on one machine's clock; the report shows them from its first moment on.
// The parts about frames, answers, steering and sample come from read-beamline-output.ts; the cluster's from whoever ran the demo.
import type { Position } from '../detector/sample.ts';
import type { PixelType, TrueSpot } from '../frame-source.ts';
import type { Peak } from '../peak-finder.ts';

export type HeadlineRow = {
  readonly label: string;
  readonly value: string;
  /** A few words of explanation. */
  readonly note?: string;
  /** Colours and marks the row; in words too, for those who see no colour. */
  readonly outcome?: 'good' | 'bad';
};

export type ReportFrame = {
  readonly sequence: number;
  readonly position: Position;
  /** [rows, columns]. */
  readonly shape: readonly [number, number];
  readonly dtype: PixelType;
  /** Little-endian pixels, row by row. */
  readonly bytes: Uint8Array;
  readonly saturation?: number;
  readonly beamCentre?: { readonly x: number; readonly y: number };
  readonly peaks: readonly Peak[];
  /** Absent when nobody knows (replayed frames). */
  readonly truth?: readonly TrueSpot[];
};

export type AnsweredPoint = {
  readonly sequence: number;
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
  readonly hit: boolean;
};

export type SteeringMoment = {
  readonly atSequence: number;
  readonly reason: string;
  readonly from: Position;
  readonly to: Position;
};

export type SampleMap = {
  readonly rows: number;
  readonly columns: number;
  /** Positions without a frame may be left out. */
  readonly positions: readonly (Position & { readonly shots: number; readonly hits: number })[];
};

/** One attempt of one job on one node. A job on several nodes has a bar on each. */
export type GanttBar = {
  readonly job: string;
  readonly name: string;
  readonly tier: string;
  readonly attempt: number;
  readonly node: string;
  /** Slot numbers on the node, from 0. */
  readonly slots: readonly number[];
  readonly startMs: number;
  readonly endMs: number;
  readonly outcome: 'completed' | 'preempted' | 'running' | 'failed' | 'cancelled';
};

export type Gantt = { readonly nodes: readonly string[]; readonly bars: readonly GanttBar[] };

/** A stretch of time to shade in every chart over time, e.g. the control plane's outage. */
export type ShadedInterval = { readonly label: string; readonly startMs: number; readonly endMs: number };

export type ReportInput = {
  readonly title: string;
  /** One or two sentences below the title. */
  readonly summary: string;
  /** ISO 8601, shown at the foot. */
  readonly generatedAt: string;
  readonly headline: readonly HeadlineRow[];
  readonly hitFrame: ReportFrame | null;
  readonly blankFrame: ReportFrame | null;
  /** In any order. */
  readonly answered: readonly AnsweredPoint[];
  readonly steering: readonly SteeringMoment[];
  readonly sample: SampleMap | null;
  readonly gantt: Gantt | null;
  readonly outages: readonly ShadedInterval[];
};
