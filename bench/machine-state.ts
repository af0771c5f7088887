/** What the machine is, and what else it was doing: printed with the table, since every figure depends on it. Reads /proc. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** Seconds that all cores together were busy for others or idle since boot: stolen by the host, idle. */
function coreSeconds(): { readonly idle: number; readonly stolen: number } {
  try {
    const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]?.trim().split(/\s+/) ?? [];
    return { idle: (Number(fields[4]) + Number(fields[5])) / 100, stolen: Number(fields[8]) / 100 };
  } catch {
    return { idle: Number.NaN, stolen: Number.NaN };
  }
}

/** Call it at the start; the function it gives says at the end what the machine was, in one line. */
export function watchMachine(): () => string {
  const [before, beganMs, load] = [coreSeconds(), performance.now(), loadavg()[0] ?? Number.NaN];
  return () => {
    const [now, seconds] = [coreSeconds(), (performance.now() - beganMs) / 1000];
    const per = (value: number): string => (value / seconds).toFixed(2);
    return [
      `machine: ${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`,
      `${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, Node ${process.version}`,
      `load ${load.toFixed(2)} before, ${(loadavg()[0] ?? Number.NaN).toFixed(2)} after`,
      `${per(now.idle - before.idle)} cores idle and ${per(now.stolen - before.stolen)} stolen on average over ${seconds.toFixed(0)} s`,
    ].join('; ');
  };
}
