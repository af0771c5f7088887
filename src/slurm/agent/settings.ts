/** The agent's own settings, read from its own file on the login host: what it trusts is written there and never asked of the control plane. RFD 4. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';

const path = z.string().refine((p) => isAbsolute(p) && !p.includes('\0'), 'an absolute path');
const word = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);

export const agentSettingsSchema = z.strictObject({
  /** As in facility.yaml. */
  cluster: word,
  /** Tells several Beamways on one cluster apart; stands in the comment of every job. Never change it while jobs wait. */
  instance: word.default('beamway'),
  /** Where the control plane is and the bearer to show it: made by `beamway admin slurm-link`, mode 0600. */
  linkFile: path,
  /** On the shared file system, the same path on login and compute nodes; owned by the agent, mode 0711. */
  jobsRoot: path,
  /** Projects and people to Unix users and accounts; owned by root or the agent, writable by nobody else. */
  mappingFile: path,
  signerSocket: path.optional(),
  slurm: z.strictObject({
    conf: path,
    binDir: path.default('/usr/bin'),
    /** Slurm's ClusterName, where it is not `cluster`. */
    name: word.optional(),
    restUrl: z.url().optional(),
    restSocket: path.optional(),
    /** Such as v0.0.38; absent: the newest that both sides know. */
    apiVersion: z
      .string()
      .regex(/^v0\.0\.\d+$/)
      .optional(),
  }),
  /** How commands are run as a job's user, for terminals and where there is no slurmrestd: argv before the command, {user} replaced. */
  become: z.array(z.string()).min(1).optional(),
  /** Our tier to the site's QoS; a tier that is not here is the QoS of the same name. */
  tiers: z.record(word, word).default({}),
  /** QoS and reservations that the agent may make and change begin so. */
  ownPrefix: word.default('bw-'),
  defaultPartition: word.optional(),
  pollMs: z.int().min(100).max(60_000).default(1000),
  /** A job that Slurm no longer knows, that left no trace and does not run, is lost after so long. */
  lostAfterMs: z.int().min(1000).default(10_000),
  /** Folders of ended jobs are kept so long. */
  keepDays: z.number().min(1).default(30),
  logLevel: z.string().default('info'),
});

export type AgentSettings = z.output<typeof agentSettingsSchema>;
export type AgentSettingsInput = z.input<typeof agentSettingsSchema>;
