// What the demonstration says in the terminal: numbered steps, a progress line that is redrawn where there is a screen, the closing table.
// Owns nothing but the state of the progress line.
import { stdout } from 'node:process';

const WIDTH = 24;
const colour = (code: number, text: string): string =>
  stdout.isTTY && !process.env['NO_COLOR'] ? `\u001b[${code}m${text}\u001b[0m` : text;

let drawn = false;
let steps = 0;
const began = performance.now();

function clearProgress(): void {
  if (drawn && stdout.isTTY) stdout.write('\r\u001b[2K');
  drawn = false;
}

const clockText = (): string => `${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`;

export function step(text: string): void {
  clearProgress();
  steps += 1;
  stdout.write(`${colour(2, clockText())}  ${colour(1, `${steps}. ${text}`)}\n`);
}

export function say(text: string): void {
  clearProgress();
  stdout.write(`${colour(2, clockText())}     ${text}\n`);
}

export function alarm(text: string): void {
  clearProgress();
  stdout.write(`${colour(2, clockText())}     ${colour(33, text)}\n`);
}

/** Redrawn in place on a screen; elsewhere written only each time another quarter is done. */
export function progress(done: number, total: number, text: string): void {
  const share = Math.min(1, done / total);
  if (!stdout.isTTY) return;
  const filled = Math.round(share * WIDTH);
  stdout.write(
    `\r\u001b[2K${colour(2, clockText())}     ${colour(36, '█'.repeat(filled))}${'░'.repeat(WIDTH - filled)} ${text}`,
  );
  drawn = true;
}

export type Row = {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
  readonly outcome?: 'good' | 'bad';
};

export function closingTable(rows: readonly Row[]): void {
  clearProgress();
  const width = Math.max(...rows.map((row) => row.label.length));
  stdout.write('\n');
  for (const { label, value, note, outcome } of rows) {
    const mark = outcome === 'good' ? colour(32, '✓') : outcome === 'bad' ? colour(31, '✗') : ' ';
    stdout.write(`  ${mark} ${label.padEnd(width)}  ${value}${note ? colour(2, `  ${note}`) : ''}\n`);
  }
  stdout.write('\n');
}
