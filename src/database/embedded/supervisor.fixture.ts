/**
 * A supervisor as a process of its own, for tests that kill it or run it as another user. Started with fork(); takes its
 * options as JSON, sends `{ready}` or `{error}`, obeys the messages `stop` and `leave`; stops when its parent is gone.
 */
import { systemClock } from '../../clock.ts';
import { silentLog } from '../log.ts';
import type { SiteOptions } from './choose-site.ts';
import { startEmbedded } from './supervise.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as Pick<SiteOptions, 'stateDir' | 'binaries' | 'servicesRoot'>;
try {
  const server = await startEmbedded({ ...options, clock: systemClock, log: silentLog });
  const end = (how: unknown): void => {
    const ended = how === 'leave' ? server.leave() : server.stop();
    void ended.then(() => process.connected && process.disconnect?.());
  };
  process.on('message', end);
  process.on('disconnect', () => end('stop'));
  process.send?.({ ready: { pid: server.pid(), adopted: server.adopted, ...server.connection } });
} catch (error) {
  process.send?.({ error: error instanceof Error ? error.message : String(error) });
  process.disconnect?.();
}
