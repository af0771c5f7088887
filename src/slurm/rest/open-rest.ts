/**
 * The slurmrestd transport: what is done as a job's own user, with a short-lived token of his. Submitting and cancelling; everything else REST lacks, or says less well
 * than the command line does (requeue, hold as operator, the queue in one call), so the agent reads and controls by command/.
 */
import type { Clock } from '../../clock.ts';
import type { MappedUser, SlurmWrite } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { askRest, type RestAddress } from './ask-rest.ts';
import { errorsIn, restFailure } from './rest-failure.ts';
import { submitBody, submitted } from './submit.ts';
import { negotiateVersion, VERSIONS } from './version.ts';

export interface RestOptions extends RestAddress {
  /** A JWT whose `sun` is this user; from the signer. */
  readonly token: (user: string) => Promise<string>;
  /** It was not taken, or nobody answered: the next is to be a new one. */
  readonly forget?: (user: string) => void;
  readonly apiVersion?: string | undefined;
  readonly clock: Clock;
}

export interface SlurmRest extends Pick<SlurmWrite, 'submit' | 'cancel'> {
  /** Once it was spoken. */
  apiVersion(): string | undefined;
}

export function openRest(options: RestOptions): SlurmRest {
  const ask = askRest(options);
  let version: string | undefined;
  const as = async (user: Pick<MappedUser, 'name' | 'uid'>) => {
    // Whose token names root or slurm may put any other name beside it: never such a one.
    if (user.uid < 1000 || user.name === 'root' || user.name === 'slurm')
      throw new SlurmFailure({ kind: 'refused', message: `nothing is done as ${user.name}` });
    const bearer = { user: user.name, token: await options.token(user.name) };
    version ??= await negotiateVersion(ask, bearer, options.apiVersion);
    return { bearer, version };
  };
  /** A token that Slurm does not take any more, as its key is another now, would else be shown until it ends. */
  const forgetting = async <T>(user: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (cause) {
      if (cause instanceof SlurmFailure && cause.kind === 'unavailable') options.forget?.(user);
      throw cause;
    }
  };
  const cancelNow: SlurmWrite['cancel'] = async (jobId, user, signal) => {
    const { bearer, version: v } = await as(user);
    const query = signal === undefined ? '' : `?signal=SIG${signal}`;
    const path = `/slurm/${v}/job/${encodeURIComponent(jobId)}${query}`;
    const errors = errorsIn(await ask({ method: 'DELETE', path, as: bearer }));
    // 2021: it has ended.
    if (errors.some((e) => e.code !== 0 && e.code !== 2021))
      throw restFailure(errors, 'the job could not be cancelled');
  };
  const cancel: SlurmWrite['cancel'] = (jobId, user, signal) =>
    forgetting(user.name, () => cancelNow(jobId, user, signal));
  const submitNow: SlurmWrite['submit'] = async (order, user) => {
    const { bearer, version: v } = await as(user);
    const fields = VERSIONS[v];
    if (fields === undefined) throw new Error(`no table for ${v}`);
    const body = submitBody(order, fields, options.clock.now());
    const { jobId, impossible } = submitted(
      await ask({ method: 'POST', path: `/slurm/${v}/job/submit`, as: bearer, body }),
    );
    if (impossible === undefined) return jobId;
    await cancel(jobId, user);
    throw impossible;
  };
  return {
    apiVersion: () => version,
    cancel,
    submit: (order, user) => forgetting(user.name, () => submitNow(order, user)),
  };
}
