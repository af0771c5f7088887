// One self-contained HTML page about a run: no script, no other file, nothing fetched. Owns no state.
import { busiestWindow, drawFrame, wholeFrame } from './frame-picture.ts';
import { drawGantt, drawGanttLegend } from './gantt.ts';
import { drawHitRateChart } from './hit-rate-chart.ts';
import { escapeText } from './markup.ts';
import type { HeadlineRow, ReportFrame, ReportInput, SteeringMoment } from './report-input.ts';
import { drawSampleMap } from './sample-map.ts';
import { STYLE } from './style.ts';
import { bucketWidthMs, drawLatencyChart, drawRateChart } from './time-charts.ts';

const DETAIL_PX = 160;
const FULL_PX = 1024;
const SMALL_PX = 512;

function headlineRow(row: HeadlineRow): string {
  const marks = { good: ' <span class="good">ok</span>', bad: ' <span class="bad">failed</span>' } as const;
  const mark = row.outcome ? marks[row.outcome] : '';
  return [
    `<tr><th scope="row">${escapeText(row.label)}</th>`,
    `<td class="value">${escapeText(row.value)}${mark}</td>`,
    `<td class="note">${escapeText(row.note ?? '')}</td></tr>`,
  ].join('');
}

function headline(input: ReportInput): string {
  if (input.headline.length === 0) return '';
  return `<section><h2>In short</h2><table>${input.headline.map(headlineRow).join('')}</table></section>`;
}

function placeOf(frame: ReportFrame): string {
  return `frame ${frame.sequence}, sample row ${frame.position.row}, column ${frame.position.column}`;
}

function counts(frame: ReportFrame): string {
  const truth = frame.truth ? `${frame.truth.length} true spots, ` : '';
  return `${truth}${frame.peaks.length} peaks found`;
}

function figure(picture: string, caption: string): string {
  return `<figure>${picture}<figcaption>${escapeText(caption)}</figcaption></figure>`;
}

function hitPictures(frame: ReportFrame): { readonly whole: string; readonly detail: string } {
  const longest = Math.max(...frame.shape);
  const whole = drawFrame(frame, {
    window: wholeFrame(frame),
    mostPixels: FULL_PX,
    // Hundreds of circles of the usual size would hide the spots.
    markRadius: longest / (frame.peaks.length > 400 ? 200 : 110),
    alt: `Detector picture of a hit, ${placeOf(frame)}: ${counts(frame)}.`,
  });
  const detail = drawFrame(frame, {
    window: busiestWindow(frame, DETAIL_PX),
    mostPixels: DETAIL_PX,
    markRadius: 4.5,
    alt: 'A part of the same hit, enlarged.',
  });
  return {
    whole: figure(
      whole,
      `A hit: ${placeOf(frame)}. ${counts(frame)}. Logarithmic scale; pixels that are not used are tinted.`,
    ),
    detail: figure(detail, `Enlarged: ${DETAIL_PX} pixels of the same hit. Each square is one pixel.`),
  };
}

function pictures(input: ReportInput): string {
  if (!input.hitFrame) return '';
  const { whole, detail } = hitPictures(input.hitFrame);
  const blank = input.blankFrame
    ? figure(
        drawFrame(input.blankFrame, {
          window: wholeFrame(input.blankFrame),
          mostPixels: SMALL_PX,
          markRadius: 9,
          alt: `Detector picture of a blank, ${placeOf(input.blankFrame)}: ${counts(input.blankFrame)}.`,
        }),
        `A blank: ${placeOf(input.blankFrame)}. ${counts(input.blankFrame)}.`,
      )
    : '';
  const circle =
    '<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><g class="found-peak"><circle cx="9" cy="6" r="5"/></g></svg>';
  const corner =
    '<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><path class="true-spot" d="M4 4v-3h3m4 0h3v3m0 4v3h-3m-4 0h-3v-3"/></svg>';
  const known = input.hitFrame.truth ? `<li>${corner}true spot of the model</li>` : '';
  return [
    '<section><h2>What the detector saw and the job found</h2>',
    `<div class="pictures">${whole}<div class="stack">${detail}${blank}</div></div>`,
    `<ul class="legend"><li>${circle}peak found by the job</li>${known}</ul></section>`,
  ].join('');
}

function steeringTable(steering: readonly SteeringMoment[]): string {
  if (steering.length === 0) return '<p>The beam was not steered.</p>';
  const rows = steering.map((moment, index) => {
    const to = `row ${moment.to.row}, column ${moment.to.column}`;
    return `<tr><td>${index + 1}</td><td>${moment.atSequence}</td><td>${to}</td><td>${escapeText(moment.reason)}</td></tr>`;
  });
  const head =
    '<thead><tr><th scope="col">#</th><th scope="col">from frame</th><th scope="col">to</th><th scope="col">why</th></tr></thead>';
  return `<details open><summary>The ${steering.length} decisions</summary><div class="decisions" tabindex="0"><table>${head}<tbody>${rows.join('')}</tbody></table></div></details>`;
}

function steering(input: ReportInput): string {
  if (input.answered.length === 0) return '';
  const map = input.sample
    ? `<div><h3>Where the beam stayed</h3>${drawSampleMap(input.sample)}<p class="lead"><small>Number: frames at the position; the darker, the more. Bar: share of hits.</small></p></div>`
    : '';
  return [
    '<section><h2>Steering on the results</h2>',
    input.steering.length > 0
      ? '<p>The peaks came back while the experiment ran, and the beam went where they promised crystals.</p>'
      : '',
    `<div class="${map ? 'columns' : ''}"><div><h3>Hit rate</h3>${drawHitRateChart(input.answered, input.steering)}`,
    `${steeringTable(input.steering)}</div>${map}</div></section>`,
  ].join('');
}

function speed(input: ReportInput): string {
  if (input.answered.length === 0) return '';
  const bucket = bucketWidthMs(input.answered) / 1000;
  return [
    '<section><h2>Rate and latency</h2>',
    `<p>From the detector through the data path into the job&rsquo;s memory, analysed, and back. Each step is ${bucket} s.</p>`,
    `<div class="columns"><div><h3>Frames answered a second</h3>${drawRateChart(input.answered, input.outages)}</div>`,
    `<div><h3>Latency, detector to answer</h3>${drawLatencyChart(input.answered, input.outages)}</div></div></section>`,
  ].join('');
}

function cluster(input: ReportInput): string {
  if (!input.gantt) return '';
  return [
    '<section class="wide"><h2>The cluster</h2>',
    '<p>Each row is a slot of a node, each bar an attempt of a job.</p>',
    `${drawGantt(input.gantt, input.outages)}${drawGanttLegend(input.gantt)}</section>`,
  ].join('');
}

/** The page as a string, to be written to one file. */
export function renderReport(input: ReportInput): string {
  const title = escapeText(input.title);
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${title}</title><style>${STYLE}</style></head><body><main>`,
    `<header><h1>${title}</h1><p class="lead">${escapeText(input.summary)}</p></header>`,
    headline(input),
    pictures(input),
    steering(input),
    speed(input),
    cluster(input),
    `<footer>Made ${escapeText(input.generatedAt)}. This page needs no other file.</footer></main></body></html>\n`,
  ].join('\n');
}
