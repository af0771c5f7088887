/** Starts or adopts the agent process of one data streaming node and keeps it running (supervise-process.ts). */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import { superviseProcess } from './supervise-process.ts';

export interface NodeProcessOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly external: string;
  readonly compute: string;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly logLevel: string;
  readonly clock: Clock;
}

export interface NodeProcess {
  readonly name: string;
  pid(): number;
  stop(): Promise<void>;
}

export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const { clock, ...argument } = options;
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const process = superviseProcess({
    name: 'process',
    folder: options.stateDir,
    entry: new URL('node-main.ts', import.meta.url),
    argument: { ...argument, linkFile: join(options.stateDir, 'link.json') },
    clock,
  });
  return { name: options.name, ...process };
}
