/**
 * The contract between the scheduler and the runner of an attempt: files in `jobs/<id>/attempt-<n>/`. Each has one
 * writer and appears whole. They outlive both processes, which is what makes a restart safe:
 *   order.json    scheduler  what to run
 *   started.json  whoever creates it first: a runner that takes the attempt, or the scheduler that revokes it
 *   running.json  runner     the script was started
 *   end.json      scheduler  the attempt is to end; SIGTERM to the runner follows
 *   exit.json     runner     how it ended; every process of it is gone
 */

import type { ProcessIdentity } from '../../process-identity.ts';
import type { StreamClaim } from '../scheduler.ts';
import type { Owner } from './durable-file.ts';

/** Marks every process of an attempt in its environment, so that one that left the process group is found again. */
export const COOKIE_VARIABLE = 'BEAMWAY_ATTEMPT_COOKIE';

export interface AttemptOrder {
  readonly attempt: number;
  readonly key: string;
  readonly scriptPath: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workDir: string;
  /** 128 random bits: no process carries it but those of this attempt. */
  readonly cookie: string;
  readonly timeLimitMs: number;
  /** Between SIGTERM and SIGKILL at the time limit. */
  readonly killGraceMs: number;
  /** File with the `StreamClaim`s; absent when the job has none. */
  readonly claimsPath?: string;
  /** The script runs as this user; only root can. */
  readonly runAs?: Owner;
}

export type Started = ({ readonly kind: 'claimed' } & ProcessIdentity) | { readonly kind: 'revoked' };

export interface Running {
  readonly atMs: number;
}

export const END_CAUSES = ['cancel', 'preempt', 'shutdown'] as const;

export interface EndOrder {
  readonly cause: (typeof END_CAUSES)[number];
  readonly graceMs: number;
  readonly atMs: number;
  /** Native id of the job that is served by a preemption. */
  readonly forJob?: string;
}

export interface Exit {
  /** `exited` by itself; `time-limit` and `ended` by us; `not-started`: its streams or its script could not be had. */
  readonly reason: 'exited' | 'time-limit' | 'ended' | 'not-started';
  readonly exitCode?: number;
  readonly signal?: string;
  readonly startedAtMs?: number;
  readonly endedAtMs: number;
  readonly detail?: string;
}

export interface ClaimsFile {
  readonly claims: readonly StreamClaim[];
}

export const attemptPaths = (folder: string) =>
  ({
    order: `${folder}/order.json`,
    started: `${folder}/started.json`,
    running: `${folder}/running.json`,
    end: `${folder}/end.json`,
    exit: `${folder}/exit.json`,
    streams: `${folder}/streams.json`,
    stdout: `${folder}/stdout`,
    stderr: `${folder}/stderr`,
  }) as const;
