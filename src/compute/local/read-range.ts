/** Reads a part of a job's output file. What is not there yet is empty. */
import { open } from 'node:fs/promises';
import type { OutputBytes } from '../scheduler.ts';

export async function readRange(
  path: string,
  range: { readonly offset: number; readonly limit: number },
): Promise<OutputBytes> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch {
    return { bytes: Buffer.alloc(0), size: 0 };
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(range.limit), 0, range.limit, range.offset);
    return { bytes: buffer.subarray(0, bytesRead), size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}
