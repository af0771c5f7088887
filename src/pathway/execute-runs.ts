/** The executor: looks at every run that has not ended, again and again, and wakes early when told that something changed. */
import { advanceRun } from './advance-run.ts';
import type { PathwayDeps } from './deps.ts';
import { openRunIds } from './store.ts';

const BUSY_MS = 200;
const IDLE_MS = 1000;

export interface RunExecutor {
  wake(): void;
  stop(): Promise<void>;
}

export function executeRuns(deps: PathwayDeps): RunExecutor {
  let stopped = false;
  let woken = false;
  let rouse = (): void => undefined;

  const rest = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (woken || stopped) {
        woken = false;
        return resolve();
      }
      const cancel = deps.clock.after(ms, resolve);
      rouse = () => {
        cancel();
        woken = false;
        resolve();
      };
    });
  const loop = async (): Promise<void> => {
    while (!stopped) {
      let open: readonly string[] = [];
      try {
        open = await openRunIds(deps.db);
        for (const id of open) {
          // A run moves as far as it can before the next one; bounded, so that none holds up the others.
          for (let i = 0; i < 20 && !stopped && (await advanceRun(deps, id)); i++);
        }
      } catch (cause) {
        deps.log.warn({ err: cause }, 'a run could not be advanced; it is tried again');
      }
      await rest(open.length > 0 ? BUSY_MS : IDLE_MS);
    }
  };
  const running = loop();
  return {
    wake() {
      woken = true;
      rouse();
    },
    async stop() {
      stopped = true;
      rouse();
      await running;
    },
  };
}
