/** Reads a part of an attempt's output. The job's user owns the file: it is opened without following a link of his, and only where the job's own folder says. */
import { join } from 'node:path';
import { openBelow } from '../authority/safe-open.ts';
import { type ActInput, type ActOutput, SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob } from './agent-jobs.ts';
import { jobFolder } from './job-folder.ts';

/** What is not written yet is empty. SlurmFailure: not-found, invalid, refused. */
export async function readOutput(
  deps: AgentDeps,
  job: AgentJob,
  input: ActInput<'output'>,
): Promise<ActOutput<'output'>> {
  const { state } = job;
  const own = input.file === 'stdout' ? state.order.stdoutPath : state.order.stderrPath;
  if (own !== undefined)
    throw new SlurmFailure({ kind: 'invalid', message: `this job writes its ${input.file} to ${own}; read it there` });
  const parts = [...(input.task === undefined ? [] : [`t${input.task}`]), String(input.attempt), input.file];
  const folder = join(jobFolder(deps.settings.jobsRoot, state), 'attempts');
  const file = await openBelow(folder, parts, { owners: [state.unix.uid] });
  if (file === undefined) return { bytes: '', size: 0 };
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(input.limit), 0, input.limit, input.offset);
    return { bytes: buffer.subarray(0, bytesRead).toString('base64'), size: (await file.stat()).size };
  } finally {
    await file.close();
  }
}
