// A detector that replays the frames of a folder, over and over. Owns the decoded frames, all held in memory.
// Files that hold no frame are left out and named with the reason. No recall is claimed on replayed frames: nobody knows their spots.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DetectorFrame, FrameSource } from '../frame-source.ts';
import { NotAFrame } from './cbf-sections.ts';
import { readFrameFile } from './read-frame-file.ts';

export type SkippedFile = { readonly file: string; readonly reason: string };

export type Replay = FrameSource & {
  readonly frames: readonly DetectorFrame[];
  readonly skipped: readonly SkippedFile[];
};

/** Replays are at least this long, however few files there are. */
export const FEWEST_REPLAYED = 200;
/** 512 MiB: a larger file is no single frame. */
const LARGEST_FILE_BYTES = 512 * 1024 * 1024;

async function readOne(folder: string, file: string): Promise<DetectorFrame | SkippedFile> {
  try {
    const bytes = await readFile(join(folder, file));
    if (bytes.length > LARGEST_FILE_BYTES) return { file, reason: `${bytes.length} bytes is no single frame` };
    return readFrameFile(bytes, file);
  } catch (error) {
    if (error instanceof NotAFrame) return { file, reason: error.message };
    if (error instanceof Error && 'code' in error) return { file, reason: error.message };
    throw error;
  }
}

/** Reads every file of the folder (not its subfolders), in name order. Throws NotAFrame when none holds a frame. */
export async function loadReplay(folder: string): Promise<Replay> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  const frames: DetectorFrame[] = [];
  const skipped: SkippedFile[] = [];
  for (const file of files) {
    const result = await readOne(folder, file);
    if ('reason' in result) skipped.push(result);
    else frames.push(result);
  }
  const first = frames[0];
  if (!first) {
    const why = skipped.map((each) => `${each.file}: ${each.reason}`).join('; ');
    throw new NotAFrame(`no frame in ${folder}${why ? ` (${why})` : ''}`);
  }
  return { name: 'replay', frames, skipped, frame: (sequence) => frames[sequence % frames.length] ?? first };
}
