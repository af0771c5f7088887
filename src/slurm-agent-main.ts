/** Entry of the agent's process: one JSON argument {config, user?}, one JSON line when ready, SIGTERM ends it in order. Root becomes `user` before any file is read. */
import { z } from 'zod';
import { becomeUser } from './become-user.ts';
import { startSlurmAgent } from './slurm-agent.ts';

const given = z
  .strictObject({ config: z.string(), user: z.string().optional() })
  .parse(JSON.parse(process.argv[2] ?? '{}'));
if (given.user !== undefined) becomeUser({ user: given.user });
const agent = await startSlurmAgent(given.config);
process.stdout.write(`${JSON.stringify({ ready: true, instance: agent.instance, pid: process.pid })}\n`);
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => void agent.stop().finally(() => process.exit()));
