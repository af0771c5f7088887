/**
 * Refuses a job that could never run: what is malformed, an unknown tier, more than the cluster has, more time than the
 * tier gives. Pure.
 */
import { type BatchJob, type BatchState, canEverFit } from '../../batch/index.ts';
import { SchedulerError, type SchedulerJobSpec } from '../scheduler.ts';
import type { LocalTier } from './local-cluster.ts';

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const KEY_CHARACTERS = 512;
/** What execve takes for one argument or variable (MAX_ARG_STRLEN), and for all of them with room to spare (ARG_MAX is 2 MiB). */
const ARGUMENT_BYTES = 131_071;
const ALL_ARGUMENTS_BYTES = 1_048_576;
const SCRIPT_BYTES = 4 * 1024 * 1024;

/** Throws SchedulerError `invalid`. */
export function checkSpec(spec: SchedulerJobSpec): void {
  const refuse = (detail: string): never => {
    throw new SchedulerError('invalid', detail);
  };
  if (spec.key.length === 0 || spec.key.length > KEY_CHARACTERS) refuse(`key: 1 to ${KEY_CHARACTERS} characters`);
  if (!spec.script.startsWith('#!')) refuse('script: must start with an interpreter line such as #!/bin/sh');
  if (Buffer.byteLength(spec.script) > SCRIPT_BYTES) refuse(`script: at most ${SCRIPT_BYTES} bytes`);
  const atLeastOne: readonly (readonly [string, number])[] = [
    ['nodes', spec.nodes],
    ['slotsPerNode', spec.slotsPerNode],
  ];
  for (const [name, value] of atLeastOne)
    if (!Number.isSafeInteger(value) || value < 1) refuse(`${name}: a whole number, at least 1`);
  if (!(Number.isFinite(spec.timeLimitSeconds) && spec.timeLimitSeconds > 0)) refuse('timeLimitSeconds: more than 0');
  if (spec.notBefore !== undefined && !Number.isFinite(spec.notBefore))
    refuse('notBefore: a time in epoch milliseconds');
  if (spec.workDir !== undefined && !(spec.workDir.startsWith('/') && !spec.workDir.includes('\0')))
    refuse('workDir: an absolute path');
  let bytes = 0;
  const count = (what: string, text: string): void => {
    if (text.includes('\0')) refuse(`${what}: must not hold a NUL character`);
    const size = Buffer.byteLength(text) + 1;
    if (size > ARGUMENT_BYTES) refuse(`${what}: at most ${ARGUMENT_BYTES} bytes`);
    bytes += size;
  };
  for (const [i, argument] of spec.arguments.entries()) count(`arguments/${i}`, argument);
  for (const [name, value] of Object.entries(spec.environment)) {
    if (!VARIABLE.test(name)) refuse(`environment: ${JSON.stringify(name)} is no variable name`);
    count(`environment/${name}`, `${name}=${value}`);
  }
  if (bytes > ALL_ARGUMENTS_BYTES) refuse(`arguments and environment: at most ${ALL_ARGUMENTS_BYTES} bytes together`);
  const streams = new Set(spec.claims.map((claim) => claim.stream));
  if (streams.size < spec.claims.length) refuse('claims: a stream is named twice');
  for (const claim of spec.claims)
    if (!URL.canParse(claim.url) || new URL(claim.url).protocol !== 'http:') refuse('claims: url must be an http one');
}

/** Throws SchedulerError `unknown-tier`, `limit` or `too-large`. Returns the tier. */
export function checkFit(
  state: BatchState,
  tiers: readonly LocalTier[],
  job: BatchJob & { readonly tierName: string; readonly timeLimitSeconds: number },
): void {
  const tier = tiers[job.tier];
  if (tier === undefined)
    throw new SchedulerError(
      'unknown-tier',
      `no tier ${job.tierName} here; there are ${tiers.map((t) => t.name).join(', ')}`,
    );
  if (tier.maxTimeLimitSeconds !== undefined && job.timeLimitSeconds > tier.maxTimeLimitSeconds) {
    throw new SchedulerError('limit', `tier ${tier.name} gives at most ${tier.maxTimeLimitSeconds} s`);
  }
  if (job.nodes * job.slotsPerNode > (tier.limits?.runningSlots ?? Number.POSITIVE_INFINITY)) {
    throw new SchedulerError('limit', `tier ${tier.name} gives at most ${tier.limits?.runningSlots} slots`);
  }
  if (!canEverFit(state, job))
    throw new SchedulerError(
      'too-large',
      `${job.nodes} nodes with ${job.slotsPerNode} slots each are more than the cluster has`,
    );
}
