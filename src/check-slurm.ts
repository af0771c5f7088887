/** The verb `slurm check`: reads a site's Slurm and says what its settings cost or risk; changes nothing. */
import { CommandError, EXIT } from '../clients/typescript/src/cli/index.ts';
import { type CheckReport, checkSite, hasRisk, lookAtSite, reportText, SlurmFailure } from './slurm/check/index.ts';

export interface CheckSlurmOptions {
  readonly slurmConf?: string;
  readonly qos?: string;
  readonly rest?: string;
  readonly bin?: string;
}

/** `env`: SLURM_CONF, as for Slurm's own programs. CommandError: 5 where Slurm does not answer, 2 for a file that cannot be used. */
export async function checkSlurm(
  options: CheckSlurmOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly ok: boolean; readonly document: CheckReport; readonly text: string }> {
  const { slurmConf: confFile, qos: qosFile, rest: restUrl, bin: binDir = '/usr/bin' } = options;
  if (!binDir.startsWith('/')) throw new CommandError('--bin: an absolute folder');
  if (restUrl !== undefined && !/^https?:\/\//.test(restUrl)) throw new CommandError('--rest: an http or https URL');
  try {
    const site = await lookAtSite({
      binDir,
      slurmConf: env['SLURM_CONF'] ?? '/etc/slurm/slurm.conf',
      ...(confFile === undefined ? {} : { confFile }),
      ...(qosFile === undefined ? {} : { qosFile }),
      ...(restUrl === undefined ? {} : { restUrl }),
    });
    const document = checkSite(site);
    return { ok: !hasRisk(document), document, text: reportText(document) };
  } catch (cause) {
    if (!(cause instanceof SlurmFailure)) throw cause;
    throw new CommandError(cause.message, cause.kind === 'unavailable' ? EXIT.unavailable : EXIT.usage);
  }
}
