/** What a command of Slurm's that failed means: which part is away, what was refused, which limit was met. From its texts, as its exit code is 1 for everything. */
import { type FailureKind, SlurmFailure } from '../contract/index.ts';
import { limitIn } from '../reasons/limit-name.ts';
import type { Ran } from './run-command.ts';

const TABLE: readonly (readonly [RegExp, FailureKind, string])[] = [
  // Before the next: its texts say 'Connection refused' too.
  [
    /slurmdbd|slurm_persist_conn_open|Unable to connect to database|Problem talking to the database|Error with request: Slurmdbd/i,
    'unavailable',
    'slurmdbd does not answer; ask whoever runs the cluster',
  ],
  [
    /Unable to contact slurm controller|Unexpected message received|slurm_load_\w+ error: (Unable|Connection|Socket|Zero)|Connection refused|Connection timed out|Socket timed out/i,
    'unavailable',
    'slurmctld does not answer; ask whoever runs the cluster',
  ],
  [
    /can not be altered now/i,
    'invalid',
    'this cannot be done to the job in its present state; a signal, for one, reaches only a running job',
  ],
  [
    /Slurm backup controller in standby|is in standby mode|Slurm temporarily unable|try again|in process of reconfig/i,
    'unavailable',
    'slurmctld is starting or failing over',
  ],
  [
    /munge|Invalid authentication credential|Protocol authentication error|authentication/i,
    'unavailable',
    'Slurm’s authentication fails on this host; is munged running, are the clocks equal?',
  ],
  [/Invalid job id/i, 'not-found', 'Slurm knows no such job'],
  [/Job\/step already completing or completed|already finished|already done/i, 'invalid', 'the job has ended'],
  [/Invalid qos|QOS.*(not|invalid)/i, 'unknown-tier', 'the account may not use this QoS now'],
  [
    /Invalid account|not authorized to use account|Invalid.*association/i,
    'refused',
    'the user has no such account on this cluster',
  ],
  [
    /Access.*denied|Invalid user id|permission denied|not permitted|not authorized/i,
    'refused',
    'the agent lacks the right; is its user a Slurm Operator?',
  ],
  [
    /Requested node configuration is not available|More processors requested|Memory required by task|node count specification invalid/i,
    'too-large',
    'no node of the partition can hold this',
  ],
  [/Invalid partition|invalid partition specified/i, 'invalid', 'there is no such partition'],
  [/Job is no longer pending execution/i, 'invalid', 'the job no longer waits; this can be changed only while it does'],
];

/** Undefined where the command did not fail. */
export function failureOf(ran: Ran, doing: string): SlurmFailure | undefined {
  if (ran.code === 0 && !/error:/i.test(ran.stderr)) return undefined;
  const text = (ran.stderr || ran.stdout).trim().replaceAll(/\s+/g, ' ').slice(0, 500);
  const limit = limitIn(text);
  if (limit !== undefined) return new SlurmFailure({ kind: 'limit', message: `${doing}: ${text}`, limit });
  for (const [pattern, kind, plain] of TABLE)
    if (pattern.test(text)) return new SlurmFailure({ kind, message: `${doing}: ${plain} (${text})` });
  return new SlurmFailure({ kind: 'invalid', message: `${doing}: ${text === '' ? `exit ${ran.code}` : text}` });
}
