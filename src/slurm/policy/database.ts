/**
 * sacctmgr: what slurmdbd says, and how it is changed. An RPC of its takes about 90 ms, so several changes are one session over stdin. `fault` is what it complained,
 * for the case that what was asked is not there afterwards; its exit code alone says little (1 also for "nothing new").
 */
import { SlurmFailure, type TierFact } from '../contract/index.ts';
import { ACCESS_COLUMNS, type AccessRow, parseAccess, parseTiers, TIER_COLUMNS } from './parse-qos.ts';
import type { PolicySettings } from './policy-settings.ts';
import { complaint, type RunResult, runSlurm } from './run-slurm.ts';

/** One command of sacctmgr, a word each. */
export type Change = readonly string[];

export async function listTiersOf(settings: PolicySettings): Promise<TierFact[]> {
  return parseTiers(await read(settings, ['list', 'qos', `format=${TIER_COLUMNS}`]));
}

export async function listAccessOf(settings: PolicySettings, account: string): Promise<AccessRow[]> {
  return parseAccess(
    await read(settings, [
      'list',
      'assoc',
      `cluster=${settings.cluster}`,
      `account=${account}`,
      `format=${ACCESS_COLUMNS}`,
    ]),
  );
}

/** Associations of every cluster of this database that hold the QoS, as words for a person. */
export async function holdersOf(settings: PolicySettings, tier: string): Promise<string[]> {
  const text = await read(settings, ['list', 'assoc', 'format=cluster,account,user,qos,defaultqos']);
  return text.split('\n').flatMap((line) => {
    const [cluster = '', account = '', user = '', qos = '', standard = ''] = line.split('|');
    if (standard !== tier && !qos.split(',').includes(tier)) return [];
    return [`${cluster}/${account}${user === '' ? '' : `/${user}`}`];
  });
}

async function read(settings: PolicySettings, args: readonly string[]): Promise<string> {
  const result = await runSlurm(settings, 'sacctmgr', { args: ['-nP', ...args] });
  if (result.code === 0) return result.stdout;
  throw databaseFault(result) ?? new SlurmFailure({ kind: 'unavailable', message: `slurmdbd: ${complaint(result)}` });
}

/** What sacctmgr complained of, if it did. `unavailable` may still have been done. */
export async function changeDatabase(
  settings: PolicySettings,
  changes: readonly Change[],
): Promise<SlurmFailure | undefined> {
  const [only] = changes;
  if (only === undefined) return undefined;
  for (const word of changes.flat())
    if (!/^[A-Za-z0-9_.,=+:-]+$/.test(word))
      throw new SlurmFailure({ kind: 'invalid', message: `${JSON.stringify(word)} cannot be an argument of sacctmgr` });
  const result = await runSlurm(
    settings,
    'sacctmgr',
    changes.length === 1
      ? { args: ['-i', '-Q', ...only] }
      : { args: ['-i', '-Q'], input: `${changes.map((c) => c.join(' ')).join('\n')}\n` },
  );
  return databaseFault(result);
}

export function databaseFault(result: RunResult): SlurmFailure | undefined {
  const text = `${result.stderr}\n${result.stdout}`;
  const message = (): string => `slurmdbd: ${complaint(result)}`;
  if (
    result.code === null ||
    /refused|talking to the database|unable to contact|timed out|persist|munge|not running/i.test(text)
  )
    return new SlurmFailure({ kind: 'unavailable', message: message() });
  if (/privilege|permission|denied|only admin|not authorized/i.test(text))
    return new SlurmFailure({ kind: 'refused', message: message() });
  if (/error|bad |loop/i.test(result.stderr)) return new SlurmFailure({ kind: 'invalid', message: message() });
  return undefined;
}
