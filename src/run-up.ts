/** The verb `up`: prints the ready line, waits for a signal, ends everything it started. A second signal while ending is ignored. */
import { CommandError, EXIT } from '../clients/typescript/src/cli/index.ts';
import { ConfigError, readSettings, type UpArguments } from './config.ts';
import { YamlError } from './facility/index.ts';
import { PolicySetError } from './policy/index.ts';
import { up } from './up.ts';

export async function runUp(given: UpArguments): Promise<void> {
  // Heard from the first moment: a signal during the start ends it as soon as there is something to end.
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
  try {
    const system = await up(readSettings(given, process.env));
    process.stdout.write(`${JSON.stringify(system.line)}\n`);
    process.on('SIGHUP', () => void system.reload());
    await ended;
    await system.stop();
  } catch (cause) {
    if (cause instanceof ConfigError) throw new CommandError(cause.message, EXIT.usage);
    if (cause instanceof PolicySetError)
      throw new CommandError(`the facility's policies are refused:\n${cause.message}`, EXIT.usage);
    if (cause instanceof YamlError)
      throw new CommandError(`the facility folder has faults:\n${cause.message}`, EXIT.usage);
    throw cause;
  }
  process.exit(EXIT.ok);
}
