/**
 * Entry of a data streaming node's process: one JSON argument with NodeOptions, one JSON line when ready, SIGTERM ends it in order. Its module
 * graph holds no database and nothing of the control plane; main.ts is not part of it.
 */
import { z } from 'zod';
import { startNode } from './node.ts';

const optionsSchema = z.strictObject({
  name: z.string(),
  stateDir: z.string(),
  linkFile: z.string(),
  external: z.string(),
  compute: z.string(),
  portRange: z.strictObject({ from: z.int(), to: z.int() }),
  logLevel: z.string(),
});

const options = optionsSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
const node = await startNode(options);
process.stdout.write(
  `${JSON.stringify({ ready: true, node: options.name, claimUrl: node.claimUrl, pid: process.pid })}\n`,
);

const end = async (): Promise<void> => {
  process.removeListener('SIGTERM', end);
  process.removeListener('SIGINT', end);
  await node.stop();
  process.exit();
};
process.on('SIGTERM', end);
process.on('SIGINT', end);
