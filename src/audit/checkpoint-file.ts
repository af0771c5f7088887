/**
 * The checkpoints outside of the database: one JSON line each, fsynced. Whoever rewrites or shortens the chain with the database owner's rights
 * still contradicts this file. Owns `checkpoints.jsonl`. A line cut short by a crash is passed over; the database has it and it is written anew.
 */
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Checkpoint, checkpointFrom, checkpointJson } from './checkpoint.ts';

export function readCheckpointFile(path: string): readonly Checkpoint[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw cause;
  }
  return parseCheckpointLines(text);
}

export function parseCheckpointLines(text: string): readonly Checkpoint[] {
  return text.split('\n').flatMap((line) => {
    try {
      return checkpointFrom(JSON.parse(line)) ?? [];
    } catch {
      return [];
    }
  });
}

/** Adds those of `checkpoints` that the file does not hold yet. Resolved means on disk. */
export function completeCheckpointFile(path: string, checkpoints: readonly Checkpoint[]): void {
  const held = new Set(readCheckpointFile(path).map(keyOf));
  const lines = checkpoints.filter((c) => !held.has(keyOf(c))).map((c) => `${JSON.stringify(checkpointJson(c))}\n`);
  if (lines.length === 0) return;
  const file = openSync(path, 'a+', 0o600);
  try {
    writeSync(file, `${endsInsideALine(file) ? '\n' : ''}${lines.join('')}`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export function keyOf(checkpoint: Checkpoint): string {
  return `${checkpoint.kind} ${checkpoint.sequence}`;
}

function endsInsideALine(file: number): boolean {
  const { size } = fstatSync(file);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last[0] !== 0x0a;
}
