/** The online verbs of the command line: everything that speaks to a facility over HTTP. Registered on the launcher's program. */
import type { Command } from 'commander';
import { auditCommands } from './audit-commands.ts';
import { clientFrom, type Environment } from './context.ts';
import { facilityCommands } from './facility-commands.ts';
import { jobCommands } from './job-commands.ts';
import { policyCommands } from './policy-commands.ts';
import { runCommands } from './run-commands.ts';
import { streamCommands } from './stream-commands.ts';
import { tokenCommands } from './token-commands.ts';

export function addOnlineCommands(program: Command, env: Environment): void {
  // `run FILE --json` and `run list --json` share option names: each belongs to the command it stands behind.
  program.enablePositionalOptions();
  const client = () => clientFrom(env);
  for (const add of [
    tokenCommands,
    jobCommands,
    streamCommands,
    runCommands,
    auditCommands,
    facilityCommands,
    policyCommands,
  ])
    add(program, client);
}

export { CommandError, EXIT, exitCodeOf, explain, profilePath } from './context.ts';
