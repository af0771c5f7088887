/** A task that runs every so often while the control plane does. Owns its timer. */
import type { Clock } from './clock.ts';

/** Runs `action` every `ms` milliseconds, never twice at once; the returned function ends that. A failure is logged, and the task comes again. */
export function every(
  clock: Clock,
  ms: number,
  action: () => Promise<unknown>,
  log: { warn(fields: object, text: string): void },
): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  const turn = (): void => {
    action()
      .catch((cause: unknown) => log.warn({ err: cause }, 'a regular task failed; it is tried again'))
      .finally(() => {
        if (!stopped) cancel = clock.after(ms, turn);
      });
  };
  cancel = clock.after(ms, turn);
  return () => {
    stopped = true;
    cancel();
  };
}
