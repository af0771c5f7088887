/**
 * Composition root of the Slurm agent: `beamway slurm-agent`, on a login host, as a Slurm Operator of its own. Puts together its jobs, the two transports, the mapping, the
 * signer's client and the link outwards. Imports nothing of the control plane (a test proves it). RFD 4.
 */

import { pino } from 'pino';
import { parse } from 'yaml';
import { systemClock } from './clock.ts';
import {
  type AgentSettings,
  agentSettingsSchema,
  checkPath,
  dialBack,
  loadMapping,
  mapper,
  openAgent,
  openAgentLink,
  openCommand,
  openPolicy,
  openRest,
  openTerminals,
  openUnixDatabase,
  ownUids,
  plainReason,
  readOwnFile,
  signerClient,
  WRITTEN_BY_OWNER_ONLY,
  watchReservations,
} from './slurm/index.ts';

export interface RunningAgent {
  readonly instance: string;
  stop(): Promise<void>;
}

/** Throws Error with a plain reason: as root, or with files that others could write. */
export async function startSlurmAgent(configFile: string): Promise<RunningAgent> {
  if (process.getuid?.() === 0) throw new Error('the agent does not run as root: give it a user of its own');
  // The job's user reads what we write by a group of two; others nothing.
  process.umask(0o027);
  const text = await readOwnFile(configFile, {
    forbiddenMode: WRITTEN_BY_OWNER_ONLY,
    owners: ownUids(),
    largestBytes: 1024 * 1024,
  });
  const read = agentSettingsSchema.safeParse(parse(text.toString('utf8')));
  if (!read.success)
    throw new Error(`${configFile}: ${read.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`);
  const settings = read.data;
  const clock = systemClock;
  const log = pino(
    { level: settings.logLevel, base: { part: 'slurm-agent', cluster: settings.cluster } },
    pino.destination(2),
  );
  const unix = openUnixDatabase({ clock });
  const self = await unix.userOf(process.getuid?.() ?? -1);
  if (self === undefined) throw new Error('the agent’s own user is not in the Unix user database');
  const mapping = await loadMapping(settings.mappingFile);
  const mapUser = mapper({ mapping, unix, clock, self });
  const { slurm } = settings;
  const command = openCommand({ binDir: slurm.binDir, slurmConf: slurm.conf, become: settings.become, clock });
  const rest = restOf(settings);
  const reservations = watchReservations(command, clock);
  const terminals = openTerminals({
    settings,
    clock,
    log,
    dialBack: (to) => dialBack({ cluster: settings.cluster, clock }, to),
  });
  const agent = await openAgent({
    settings,
    clock,
    log,
    read: {
      ...command,
      async diagnostics() {
        const found = await command.diagnostics();
        const apiVersion = rest?.apiVersion();
        return { ...found, ...(apiVersion === undefined ? {} : { apiVersion }) };
      },
    },
    write: { ...command, ...(rest === undefined ? {} : { submit: rest.submit, cancel: rest.cancel }) },
    mapUser,
    checkPath,
    reason: (row) => plainReason(row, { reservations: reservations(), nowMs: clock.now() }),
    policy: openPolicy({
      binDir: slurm.binDir,
      slurmConf: slurm.conf,
      cluster: slurm.name ?? settings.cluster,
      prefix: settings.ownPrefix,
      accountOf: (project) => mapping.projects?.[project]?.account,
      reservations: command.reservations,
      clock,
      log,
    }),
    terminal: (job, input, from) => terminals.open(job, input, from),
  });
  const link = openAgentLink({
    linkFile: settings.linkFile,
    cluster: settings.cluster,
    instance: agent.instance,
    version: agent.version,
    serve: (act, input, from) => agent.serve(act, input, from),
    clock,
    log,
  });
  const unwatch = agent.watch(() => link.changed());
  log.info({ jobsRoot: settings.jobsRoot }, 'the Slurm agent runs');
  return {
    instance: agent.instance,
    async stop() {
      unwatch();
      terminals.close();
      await link.stop();
      await agent.stop();
    },
  };
}

/** Undefined where the site has no slurmrestd: then `become` must be there to submit. */
function restOf(settings: AgentSettings): ReturnType<typeof openRest> | undefined {
  const { restUrl, restSocket, apiVersion } = settings.slurm;
  if (restUrl === undefined && restSocket === undefined) return undefined;
  if (settings.signerSocket === undefined) throw new Error('slurmrestd needs the signer: set signerSocket');
  const tokens = signerClient(settings.signerSocket, systemClock);
  return openRest({ url: restUrl, socket: restSocket, apiVersion, ...tokens, clock: systemClock });
}
