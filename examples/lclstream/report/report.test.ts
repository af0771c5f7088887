import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { slotRuns } from './gantt.ts';
import { rollingHitRate } from './hit-rate-chart.ts';
import { encodePng } from './png.ts';
import { renderReport } from './render-report.ts';
import type { GanttBar, ReportFrame, ReportInput } from './report-input.ts';

const EMPTY: ReportInput = {
  title: 'Nothing happened',
  summary: '',
  generatedAt: '2026-01-01T00:00:00Z',
  headline: [],
  hitFrame: null,
  blankFrame: null,
  answered: [],
  steering: [],
  sample: null,
  gantt: null,
  outages: [],
};

function frame(peaks: ReportFrame['peaks']): ReportFrame {
  const pixels = Uint16Array.from({ length: 64 * 48 }, (_, at) => at % 40);
  const position = { row: 1, column: 2 };
  return {
    sequence: 4,
    position,
    shape: [48, 64],
    dtype: 'uint16',
    bytes: new Uint8Array(pixels.buffer),
    peaks,
    truth: [{ x: 9, y: 8, snr: 7 }],
  };
}

function bar(change: Partial<GanttBar>): GanttBar {
  return {
    job: 'job_1',
    name: 'climate',
    tier: 'batch',
    attempt: 1,
    node: 'n1',
    slots: [0, 1],
    startMs: 0,
    endMs: 5000,
    outcome: 'completed',
    ...change,
  };
}

const FULL: ReportInput = {
  ...EMPTY,
  title: 'A run <script>alert(1)</script>',
  headline: [{ label: 'Frames', value: '400', outcome: 'good', note: 'all & more' }],
  hitFrame: frame([[9, 8, 20]]),
  blankFrame: frame([]),
  answered: Array.from({ length: 90 }, (_, n) => ({
    sequence: n,
    sentAtMs: n * 50,
    answeredAtMs: n * 50 + 120,
    hit: n > 40,
  })),
  steering: [{ atSequence: 40, reason: 'raster "done"', from: { row: 0, column: 0 }, to: { row: 3, column: 4 } }],
  sample: { rows: 4, columns: 6, positions: [{ row: 3, column: 4, shots: 24, hits: 18 }] },
  gantt: {
    nodes: ['n1', 'n2'],
    bars: [
      bar({ outcome: 'preempted' }),
      bar({ attempt: 2, startMs: 8000, endMs: 9000, node: 'n2' }),
      bar({ job: 'job_2', name: '"><img src=x>', tier: 'urgent', startMs: 5100, endMs: 7900 }),
    ],
  },
  outages: [{ label: 'control plane down', startMs: 1000, endMs: 2000 }],
};

test('the page needs nothing from outside and runs no script', () => {
  const html = renderReport(FULL);
  assert.doesNotMatch(html, /https?:\/\/|<script|<link|@import|url\(|<iframe|<img/i);
  for (const [, target] of html.matchAll(/(?:href|src)="([^"]*)"/g))
    assert.ok(target?.startsWith('data:image/png;base64,'), target);
});

test('names from outside are shown as text', () => {
  const html = renderReport(FULL);
  assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
  assert.ok(html.includes('&quot;&gt;&lt;img src=x&gt;'));
});

test('the page says what happened: preemption, resumption, outage, steering, true spots and peaks', () => {
  const html = renderReport(FULL);
  for (const part of [
    'class="preempted"',
    'class="resumed"',
    'class="join"',
    'control plane down',
    'raster &quot;done&quot;',
    'found-peak',
    'true-spot',
  ]) {
    assert.ok(html.includes(part), part);
  }
  assert.equal((html.match(/role="img" aria-label="[^"]+"/g) ?? []).length, 8);
  assert.ok(!html.includes('NaN') && !html.includes('Infinity') && !html.includes('undefined'));
});

test('a run of which nothing is known still makes a page', () => {
  const html = renderReport(EMPTY);
  assert.ok(html.includes('<h1>Nothing happened</h1>'));
  assert.ok(!html.includes('NaN') && !html.includes('Infinity'));
});

test('one answer, no duration and a job of no length make no broken numbers', () => {
  const html = renderReport({
    ...FULL,
    answered: FULL.answered.slice(0, 1),
    gantt: { nodes: [], bars: [bar({ endMs: 0 })] },
  });
  assert.ok(!html.includes('NaN') && !html.includes('Infinity'));
});

test('a PNG holds its pixels: signature, size, rows with filter 0', () => {
  const png = encodePng(Uint8Array.of(0, 1, 2, 2, 1, 0), 3, [
    [0, 0, 0],
    [255, 0, 0],
    [0, 0, 255],
  ]);
  assert.equal(png.toString('hex', 0, 8), '89504e470d0a1a0a');
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20), png[24], png[25]], [3, 2, 8, 3]);
  const at = png.indexOf('IDAT');
  const data = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
  assert.deepEqual([...data], [0, 0, 1, 2, 0, 2, 1, 0]);
  assert.throws(() => encodePng(new Uint8Array(5), 3, [[0, 0, 0]]));
});

test('neighbouring slots are one block', () => {
  assert.deepEqual(slotRuns([3, 0, 1, 5, 4]), [
    { first: 0, last: 1 },
    { first: 3, last: 5 },
  ]);
});

test('the rolling hit rate looks back over 24 frames in sequence order', () => {
  const points = rollingHitRate([...FULL.answered].reverse());
  assert.equal(points[0]?.sequence, 0);
  assert.equal(points[40]?.rate, 0);
  assert.equal(points[89]?.rate, 1);
});
