/** sdiag and scontrol ping: how slurmctld is. A controller that is down is an answer here, not a failure. */
import { type Diagnostics, SlurmFailure } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

export async function sdiag(run: RunSlurm): Promise<Diagnostics> {
  const version = (await run('sinfo', ['--version'])).stdout.trim().replace(/^slurm\S* /, '');
  const ran = await run('sdiag', []).catch((cause: unknown) => {
    if (cause instanceof SlurmFailure) return undefined;
    throw cause;
  });
  const database = await run('sacctmgr', ['-nP', 'show', 'cluster', 'format=cluster']).then(
    (r) => (r.code === 0 ? ('up' as const) : ('down' as const)),
    () => 'unknown' as const,
  );
  const up = ran !== undefined && failureOf(ran, 'sdiag') === undefined;
  return { ...parseDiagnostics(up ? ran.stdout : ''), controller: up ? 'up' : 'down', database, slurmVersion: version };
}

export function parseDiagnostics(
  text: string,
): Omit<Diagnostics, 'controller' | 'database' | 'slurmVersion' | 'apiVersion'> {
  const count = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const byType = text.slice(Math.max(0, text.indexOf('statistics by message type')));
  const types = byType.slice(0, Math.max(0, byType.indexOf('statistics by user')) || undefined);
  const served = [...types.matchAll(/count:(\d{1,12})/g)].reduce((sum, match) => sum + Number(match[1]), 0);
  return {
    jobsRunning: count(/Jobs running:\s+(\d{1,12})/),
    jobsPending: count(/Jobs pending:\s+(\d{1,12})/),
    rpcsServed: served,
    backfillDepth: count(/Last depth cycle:\s+(\d{1,12})/),
    lastCycleMicroseconds: count(/Last cycle:\s+(\d{1,12})/),
    agentQueue: count(/Agent queue size:\s+(\d{1,12})/),
  };
}
