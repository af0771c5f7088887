/** `beamway job exec` (also `attach`): a terminal in a running job, as ssh would give it. Exits as the program does. */
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { openTerminal, type Terminal } from '../terminal.ts';

const EXAMPLES = `
Examples:
  beamway job exec job_…                        a login shell where the job runs (its first node)
  beamway job exec job_… -- nvidia-smi -l 5     one program; what follows -- is its own
  echo 'ls -l' | beamway job exec job_…         typed for you; the shell gets an end of file afterwards

The program shares what the job holds and ends with it. Needs the scope job:attach, and a cluster whose agent may
become the job's user (docs/operate/slurm.md).
`;

const END_OF_FILE = Uint8Array.of(4);

export function execCommand(job: Command, client: () => Client): void {
  job
    .command('exec')
    .alias('attach')
    .argument('<id>')
    .argument('[command...]', 'program and arguments; default: a login shell')
    .description('run a program with a terminal inside a running job')
    .addHelpText('after', EXAMPLES)
    .action(async (id: string, command: string[]) => {
      const [program, ...rest] = command;
      const { stdin, stdout } = process;
      const terminal = await openTerminal(client(), {
        job: id,
        ...(program === undefined ? {} : { program, arguments: rest }),
        ...(stdout.isTTY ? { columns: stdout.columns, rows: stdout.rows } : {}),
        onBytes: (bytes) => void stdout.write(bytes),
      });
      const release = joinKeyboard(terminal, stdin);
      const resize = (): void => terminal.resize(stdout.columns, stdout.rows);
      if (stdout.isTTY) stdout.on('resize', resize);
      try {
        process.exitCode = await terminal.exit;
      } finally {
        stdout.off('resize', resize);
        release();
        terminal.close();
      }
    });
}

/** Every key goes to the job, Ctrl-C too. Gives the keyboard back. */
function joinKeyboard(terminal: Terminal, stdin: NodeJS.ReadStream): () => void {
  const typed = (bytes: Buffer): void => terminal.write(bytes);
  const ended = (): void => terminal.write(END_OF_FILE);
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', typed);
  stdin.once('end', ended);
  return () => {
    stdin.off('data', typed);
    stdin.off('end', ended);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
    // A pipe that nobody closes would keep us waiting.
    stdin.unref?.();
  };
}
