/** Looks at a site: its slurm.conf or its live controller, QoS and associations, the key's mode, the state's file system, slurmrestd. Reads only; owns nothing. */
import { stat, statfs } from 'node:fs/promises';
import { runCommand } from '../command/run-command.ts';
import { SlurmFailure } from '../contract/index.ts';
import { parseAssociationTable, parseQosTable } from './read-accounting.ts';
import { readBounded } from './read-bounded.ts';
import { parseConf, parseShownConfig } from './read-conf.ts';
import { parameter, type Site, setting } from './site.ts';

export interface LookOptions {
  /** Read in place of asking the controller. */
  readonly confFile?: string;
  /** Output of `sacctmgr -P show qos`, in place of asking. */
  readonly qosFile?: string;
  /** Where slurmrestd listens, such as http://127.0.0.1:6820. */
  readonly restUrl?: string;
  /** Absolute folder of Slurm's programs. */
  readonly binDir: string;
  /** Where Slurm's own programs find their cluster. */
  readonly slurmConf: string;
}

/** statfs(2): tmpfs, ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6]);
const REST_MS = 5000;

/** SlurmFailure: `unavailable` where the controller does not answer, `not-found` or `invalid` for a file. */
export async function lookAtSite(options: LookOptions): Promise<Site> {
  const unseen: string[] = [];
  const run = runCommand(options);
  const live = options.confFile === undefined;
  const ask = async (program: string, args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(program, args);
    if (code === 0) return stdout;
    throw new SlurmFailure({
      kind: 'unavailable',
      message: `${program}: ${stderr.trim().split('\n')[0] ?? `exit ${code}`}`,
    });
  };
  const table = async <T>(
    what: string,
    file: string | undefined,
    parse: (text: string) => T,
  ): Promise<T | undefined> => {
    if (file !== undefined) return parse(await readBounded(file));
    if (!live) {
      unseen.push(`${what}: no controller was asked`);
      return undefined;
    }
    try {
      const shown = what === 'QoS' ? ['qos'] : ['assoc', 'format=cluster,account,user,qos,defaultqos'];
      return parse(await ask('sacctmgr', ['-P', 'show', ...shown]));
    } catch (cause) {
      unseen.push(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`);
      return undefined;
    }
  };
  const conf =
    options.confFile === undefined
      ? parseShownConfig(await ask('scontrol', ['show', 'config']))
      : parseConf(await readBounded(options.confFile));
  if (live && !conf.settings.has('clustername'))
    throw new SlurmFailure({ kind: 'unavailable', message: 'scontrol show config names no cluster' });
  const qos = await table('QoS', options.qosFile, parseQosTable);
  const associations = await table('associations', undefined, parseAssociationTable);
  const source = options.confFile ?? `controller of ${setting({ source: '', live, conf, unseen }, 'ClusterName')}`;
  const site: Site = {
    source: live ? source : `${source}; where it is silent, the defaults of Slurm 22.05`,
    live,
    conf,
    ...(qos === undefined ? {} : { qos }),
    ...(associations === undefined ? {} : { associations }),
    ...(options.restUrl === undefined ? {} : { rest: await lookAtRest(options.restUrl) }),
    unseen,
  };
  return { ...site, ...(await lookAtFiles(site, unseen)) };
}

async function lookAtFiles(site: Site, unseen: string[]): Promise<Pick<Site, 'jwtKeyMode' | 'stateFilesystem'>> {
  const key = parameter(site, 'AuthAltParameters', 'jwt_key');
  const keyMode =
    key === undefined
      ? undefined
      : await stat(key).then(
          (s) => s.mode,
          () => undefined,
        );
  if (key !== undefined && keyMode === undefined) unseen.push(`${key}: not to be seen from this host or by this user`);
  const state = setting(site, 'StateSaveLocation');
  const type =
    state === ''
      ? undefined
      : await statfs(state).then(
          (s) => s.type,
          () => undefined,
        );
  if (type === undefined)
    unseen.push(`StateSaveLocation ${state || '(none)'}: not to be seen from this host or by this user`);
  return {
    ...(keyMode === undefined ? {} : { jwtKeyMode: keyMode }),
    ...(type === undefined ? {} : { stateFilesystem: IN_MEMORY.has(type) ? 'memory' : 'disk' }),
  };
}

/** Any answer will do, a refusal too: it is there. */
async function lookAtRest(url: string): Promise<NonNullable<Site['rest']>> {
  try {
    const answer = await fetch(new URL('/openapi/v3', url), {
      signal: AbortSignal.timeout(REST_MS),
      redirect: 'manual',
    });
    await answer.body?.cancel();
    return { url };
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    return { url, fault: `${url}: ${reason.slice(0, 200)}` };
  }
}
