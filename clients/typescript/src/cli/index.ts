/** The online verbs of the command line: everything that speaks to a facility over HTTP. Registered on the launcher's program. */
import type { Command } from 'commander';
import { auditCommands } from './audit-commands.ts';
import { clusterCommands } from './cluster-commands.ts';
import { clientFrom, type Environment } from './context.ts';
import { facilityCommands } from './facility-commands.ts';
import { factorCommands } from './factor-commands.ts';
import { jobCommands } from './job-commands.ts';
import { keyCommands } from './key-commands.ts';
import { lockdownCommands } from './lockdown-commands.ts';
import { loginCommands } from './login-commands.ts';
import { personCommands } from './person-commands.ts';
import { policyCommands } from './policy-commands.ts';
import { projectCommands } from './project-commands.ts';
import { runCommands } from './run-commands.ts';
import { streamCommands } from './stream-commands.ts';
import { tokenCommands } from './token-commands.ts';

export function addOnlineCommands(program: Command, env: Environment): void {
  // `run FILE --json` and `run list --json` share option names: each belongs to the command it stands behind.
  program.enablePositionalOptions();
  const client = () => clientFrom(env);
  loginCommands(program, client, env);
  for (const add of [
    tokenCommands,
    jobCommands,
    streamCommands,
    runCommands,
    auditCommands,
    clusterCommands,
    facilityCommands,
    factorCommands,
    keyCommands,
    lockdownCommands,
    personCommands,
    policyCommands,
    projectCommands,
  ])
    add(program, client);
}

export { printVerification } from './audit-commands.ts';
export { CommandError, clientFrom, EXIT, exitCodeOf, explain, profilePath } from './context.ts';
export { duration } from './parse-arguments.ts';
export { recordsSince } from './policy-commands.ts';
