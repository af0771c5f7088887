/** What an answer's `errors` mean. Decided on the number and the text, never on HTTP's status. Numbers as in slurm/slurm_errno.h. */
import { type FailureKind, SlurmFailure } from '../contract/index.ts';
import { limitIn } from '../reasons/limit-name.ts';

export interface RestError {
  readonly code: number;
  readonly text: string;
}

/** ESLURM_… by number. */
const KINDS: Readonly<Record<number, readonly [FailureKind, string]>> = {
  2000: ['invalid', 'there is no such partition'],
  2002: ['refused', 'Slurm denies it to this user'],
  2005: ['refused', 'the user may not use this partition or QoS'],
  2006: ['refused', 'the user may not do this to that job'],
  2009: ['too-large', 'Slurm wants a node that there is not'],
  2010: ['too-large', 'the script is larger than the cluster takes'],
  2014: ['too-large', 'no nodes of the partition can hold this'],
  2015: ['too-large', 'more nodes, processors or time than the partition gives'],
  2029: ['invalid', 'no node has the feature of `constraint`'],
  2053: ['invalid', 'there is no such reservation for this account'],
  2054: ['invalid', 'a time is not one'],
  2072: ['invalid', 'the cluster has no such generic resource'],
  2017: ['not-found', 'Slurm knows no such job'],
  2018: ['invalid', 'Slurm does not take the job’s name'],
  2021: ['invalid', 'the job has ended'],
  2045: ['refused', 'the user has no such account on this cluster'],
  2050: ['limit', 'a limit of its account or QoS is met'],
  2051: ['limit', 'longer than the partition allows'],
  2061: ['invalid', 'the dependency is not one'],
  2066: ['unknown-tier', 'the account may not use this QoS now'],
  2070: ['invalid', 'the reservation is not one, or not this account’s'],
  2115: ['invalid', 'the start time is not one'],
};

export function errorsIn(answer: unknown): readonly RestError[] {
  if (typeof answer !== 'object' || answer === null) return [];
  const { errors } = answer as { readonly errors?: unknown };
  if (!Array.isArray(errors)) return [];
  return errors.slice(0, 20).map((e: unknown) => {
    // Both names occur in 0.0.37 and 0.0.38.
    const fields = (typeof e === 'object' && e !== null ? e : {}) as Record<string, unknown>;
    const code = Number(fields['error_code'] ?? fields['error_number'] ?? fields['errno'] ?? 0);
    const text = [fields['error'], fields['description']].filter((t) => typeof t === 'string' && t !== '').join(': ');
    return { code: Number.isFinite(code) ? code : 0, text: text.slice(0, 500) };
  });
}

export function restFailure(errors: readonly RestError[], doing: string): SlurmFailure {
  // 9001 (it could not be read) and -1 stand beside the one that says why.
  const telling = errors.filter((e) => e.code > 0 && e.code !== 9001);
  const first = telling[0] ?? errors[0] ?? { code: 0, text: 'Slurm gave no reason' };
  const limit = limitIn(first.text);
  const known = KINDS[first.code];
  const about = { slurmCode: first.code, ...(limit === undefined ? {} : { limit }) };
  if (known !== undefined)
    return new SlurmFailure({
      kind: known[0],
      message: `${doing}: ${known[1]} (${first.text})`,
      ...about,
      ...(known[0] === 'limit' && limit === undefined ? { limit: 'AccountingPolicy' } : {}),
    });
  if (limit !== undefined) return new SlurmFailure({ kind: 'limit', message: `${doing}: ${first.text}`, ...about });
  // 1000 to 1999: it could not talk to slurmctld. 5000 and more: tokens and slurmrestd itself.
  if (
    /Unable to contact|[Cc]onnect|timed? ?out|Socket|Zero Bytes|authentication|token|temporarily|standby/i.test(
      first.text,
    ) ||
    (first.code >= 1000 && first.code < 2000) ||
    first.code === 5005
  )
    return new SlurmFailure({
      kind: 'unavailable',
      message: `${doing}: slurmctld does not answer, or not to us (${first.text})`,
      ...about,
    });
  return new SlurmFailure({ kind: 'invalid', message: `${doing}: ${first.text}`, ...about });
}
