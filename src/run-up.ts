/** The verb `up`: prints the ready line, waits for a signal, ends everything it started. A second signal while ending is ignored. */
import { CommandError, EXIT, exitCodeOf, explain } from '../clients/typescript/src/cli/index.ts';
import { ConfigError, readSettings, type UpArguments } from './config.ts';
import { YamlError } from './facility/index.ts';
import { PolicySetError } from './policy/index.ts';
import { up } from './up.ts';

export async function runUp(given: UpArguments): Promise<never> {
  // Heard from the first moment: a signal during the start ends it as soon as there is something to end.
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
  // SIGHUP reloads; before there is something to reload it must not end us either.
  let reload = (): void => undefined;
  process.on('SIGHUP', () => reload());
  try {
    const system = await up(readSettings(given, process.env));
    reload = () => void system.reload();
    process.stdout.write(`${JSON.stringify(system.line)}\n`);
    await ended;
    await system.stop();
  } catch (cause) {
    const failure = named(cause);
    process.stderr.write(explain(failure));
    // At once: what a failed start could not let go of must not keep us, deaf to signals, for ever.
    process.exit(exitCodeOf(failure));
  }
  process.exit(EXIT.ok);
}

/** What the operator can mend is a usage error, with what to mend. */
function named(cause: unknown): unknown {
  if (cause instanceof ConfigError) return new CommandError(cause.message, EXIT.usage);
  if (cause instanceof PolicySetError)
    return new CommandError(`the facility's policies are refused:\n${cause.message}`, EXIT.usage);
  if (cause instanceof YamlError)
    return new CommandError(`the facility folder has faults:\n${cause.message}`, EXIT.usage);
  return cause;
}
