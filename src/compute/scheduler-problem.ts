/** What a scheduler refused or could not do, as the problem that whoever asked is told. */
import { Problem } from '../problems.ts';
import { SchedulerError } from './scheduler.ts';

const RETRY_SECONDS = 2;

export function schedulerProblem(error: SchedulerError): Problem {
  const { kind, message, limit } = error;
  switch (kind) {
    case 'too-large':
      return new Problem('job-too-large', message);
    case 'limit':
      return new Problem('limit-reached', message, limit === undefined ? {} : { limit });
    case 'unknown-tier':
      return new Problem('unknown-tier', message);
    case 'refused':
      return new Problem('account-refused', message);
    case 'invalid':
    case 'not-found':
      return new Problem('invalid-request', message);
    case 'unavailable':
      return new Problem('unavailable', message, { retryAfterSeconds: RETRY_SECONDS, cause: error });
  }
}

/** Runs `ask`; what the scheduler throws becomes its problem, everything else stays what it is. */
export async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw cause instanceof SchedulerError ? schedulerProblem(cause) : cause;
  }
}
