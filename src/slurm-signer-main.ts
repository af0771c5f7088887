/** Entry of the signer's process: one JSON argument {config, user?, group?}, one JSON line when ready, SIGTERM ends it. Root becomes `user` before any file is read. */
import { z } from 'zod';
import { becomeUser } from './become-user.ts';
import { startSigner } from './slurm-signer.ts';

const given = z
  .strictObject({ config: z.string(), user: z.string().optional(), group: z.string().optional() })
  .parse(JSON.parse(process.argv[2] ?? '{}'));
if (given.user !== undefined)
  becomeUser({ user: given.user, ...(given.group === undefined ? {} : { group: given.group }) });
const signer = await startSigner(given.config);
process.stdout.write(`${JSON.stringify({ ready: true, socket: signer.socket, pid: process.pid })}\n`);
for (const name of ['SIGTERM', 'SIGINT'] as const)
  process.once(name, () => void signer.stop().finally(() => process.exit()));
