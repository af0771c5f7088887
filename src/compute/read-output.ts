/** Reads a part of an attempt's output file. The path is the scheduler's own record, never the caller's. */
import { open } from 'node:fs/promises';
import { Problem } from '../problems.ts';
import { type Job, jobEnded } from './job.ts';

/** Of UTF-8 (RFC 3629). */
const LONGEST_CHARACTER_BYTES = 4;

export interface OutputPart {
  readonly attempt: number;
  readonly text: string;
  readonly nextOffset: number;
  /** The attempt is over: no more will come. */
  readonly ended: boolean;
}

export interface OutputQuery {
  readonly file: 'stdout' | 'stderr';
  readonly attempt?: number | undefined;
  readonly offset: number;
  readonly limit: number;
}

/** Throws `not-found` where there is no such attempt. Output not written yet is empty, not an error. */
export async function readOutput(job: Job, query: OutputQuery): Promise<OutputPart> {
  const attempt =
    query.attempt === undefined ? job.attempts.at(-1) : job.attempts.find((a) => a.attempt === query.attempt);
  if (attempt === undefined) {
    if (query.attempt !== undefined) throw new Problem('not-found', `Job ${job.id} has no attempt ${query.attempt}.`);
    return { attempt: 1, text: '', nextOffset: query.offset, ended: jobEnded(job.state) };
  }
  const ended = attempt.endedAt !== null;
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(query.file === 'stdout' ? attempt.stdoutPath : attempt.stderrPath, 'r');
  } catch {
    return { attempt: attempt.attempt, text: '', nextOffset: query.offset, ended };
  }
  try {
    // Never less than one whole character: a smaller part could not move on past it.
    const limit = Math.max(query.limit, LONGEST_CHARACTER_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(limit), 0, limit, query.offset);
    const whole = wholeCharacters(buffer.subarray(0, bytesRead), ended);
    return { attempt: attempt.attempt, text: whole.toString('utf8'), nextOffset: query.offset + whole.length, ended };
  } finally {
    await file.close();
  }
}

/** A UTF-8 character cut by the end of the part is left for the next one, unless the file is over. */
function wholeCharacters(bytes: Buffer, ended: boolean): Buffer {
  if (ended && bytes.length < LONGEST_CHARACTER_BYTES) return bytes;
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
