/**
 * The test's Slurm as a process: `node main.ts up JSON` begins what is dead and prints one JSON line, `node main.ts down JSON` ends it. JSON: SlurmOptions, and `purge`.
 * `beamway up --with slurm` and the demonstration use it; the daemons outlive this process.
 */
import { z } from 'zod';
import { SLURM_PACKAGES, whyNoSlurm } from './packages.ts';
import { startSlurm } from './start-slurm.ts';

const optionsSchema = z.strictObject({
  dir: z.string().startsWith('/'),
  cluster: z.string(),
  nodes: z.int().min(1).max(64),
  slotsPerNode: z.int().min(1),
  tiers: z.array(z.strictObject({ name: z.string(), priority: z.int(), preempts: z.array(z.string()) })),
  accounts: z.array(z.strictObject({ account: z.string(), user: z.string(), tiers: z.array(z.string()) })),
  operators: z.array(z.string()),
  purge: z.boolean().default(false),
});

const [verb, text = '{}'] = process.argv.slice(2);
const { purge, ...options } = optionsSchema.parse(JSON.parse(text));
const missing = whyNoSlurm();
if (missing !== undefined) {
  process.stderr.write(`${missing}\napt-get install -y --no-install-recommends ${SLURM_PACKAGES.join(' ')}\n`);
  process.exit(2);
}
try {
  const slurm = await startSlurm(options);
  if (verb === 'down') await slurm.stop({ purge });
  else
    process.stdout.write(
      `${JSON.stringify({ conf: slurm.conf, restUrl: slurm.restUrl, jwtKeyFile: slurm.jwtKeyFile, cluster: slurm.cluster })}\n`,
    );
} catch (cause) {
  // The reason alone: `up` shows the last lines of this.
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exit(1);
}
process.exit(0);
