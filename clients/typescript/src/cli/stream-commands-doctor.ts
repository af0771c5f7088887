/** `beamway stream doctor`: what is wrong between here and a stream, in words. Run it where the data comes from. */
import { type Command, Option } from 'commander';
import type { Client } from '../client.ts';
import { CommandError, EXIT } from './context.ts';
import { knock, type Step } from './knock-endpoint.ts';
import { printJson } from './print.ts';

const EXAMPLES = `
Example:
  beamway stream doctor str_…                   as its producer, with a credential for this look alone
  beamway stream doctor str_… --role consumer --json

It goes as a client would: the facility, the stream, its name, a connection, the credential, what the role may and may not do (Redis,
RabbitMQ), and for Redis the delay and a short look at the throughput. No message is put in or taken out. Exit 0: all is well; 1: the last line says what is not.
`;

interface DoctorOptions {
  readonly role: 'producer' | 'consumer';
  readonly json?: boolean;
}

export function doctorCommand(stream: Command, client: () => Client): void {
  stream
    .command('doctor')
    .argument('<id>')
    .description('what is wrong between here and a stream')
    .addOption(new Option('--role <role>', 'as which').choices(['producer', 'consumer']).default('producer'))
    .option('--json', 'print one JSON document')
    .addHelpText('after', EXAMPLES)
    .action(async (id: string, { role, json }: DoctorOptions) => {
      const steps: Step[] = [];
      const on = (step: Step): void => {
        steps.push(step);
        if (json !== true)
          process.stdout.write(
            `${step.outcome === 'ok' ? 'ok    ' : 'FAILED'}  ${step.step.padEnd(10)}  ${step.detail}\n`,
          );
      };
      const well = await look(client(), { id, role, on });
      if (json === true) printJson({ stream: id, role, well, steps });
      if (!well && json !== true) throw new CommandError(`${id} cannot be used from here.`, EXIT.failed);
      if (!well) process.exitCode = EXIT.failed;
    });
}

interface Look {
  readonly id: string;
  readonly role: 'producer' | 'consumer';
  readonly on: (step: Step) => void;
}

/** What the facility itself refuses is thrown as it is. */
async function look(client: Client, { id, role, on }: Look): Promise<boolean> {
  const began = performance.now();
  const { state, reason, name, endpoints } = await client.call('stream.show', { params: { id } });
  const ms = Math.round(performance.now() - began);
  on({
    step: 'stream',
    outcome: state === 'ready' ? 'ok' : 'failed',
    detail: state === 'ready' ? `${name} is ready at ${endpoints[role] ?? '-'}` : `${name} is ${state}: ${reason}`,
    ms,
  });
  if (state !== 'ready') return false;
  const credential = await client.call('stream.credential', { params: { id }, body: { role, lifetimeSeconds: 30 } });
  return knock({ ...credential, role }, on);
}
