/**
 * HAProxy as the comparator: `mode tcp` with buffers of 16 KiB, 128 KiB and 1 MiB, and with splice(2), each in its own process.
 * Owns a temporary folder with the configuration; the context ends processes and folder.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { BenchContext } from '../figure.ts';
import { freePort, portAnswers } from './processes.ts';

export const haproxyVariants = ['haproxy-16k', 'haproxy-128k', 'haproxy-1M', 'haproxy-splice'] as const;
export type HaproxyVariant = (typeof haproxyVariants)[number];
export const haproxyMissing = 'HAProxy is not installed: apt-get install --no-install-recommends haproxy';

const tuning: Record<HaproxyVariant, readonly string[]> = {
  'haproxy-16k': ['tune.bufsize 16384'],
  'haproxy-128k': ['tune.bufsize 131072'],
  'haproxy-1M': ['tune.bufsize 1048576'],
  'haproxy-splice': ['tune.bufsize 16384', 'tune.pipesize 1048576'],
};

export function findHaproxy(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders
    .map((folder) => path.join(folder, 'haproxy'))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export interface Haproxy {
  readonly pid: number;
  /** Connections here are relayed to `target`, a port of the loopback or the path of a Unix socket. */
  readonly port: number;
}

export interface HaproxyEndsTls {
  readonly target: number | string;
  /** Certificate and key in one file. */
  readonly pemFile: string;
}

/** One thread, as the relay has one: CPU seconds then compare like with like. */
export async function startHaproxy(
  context: BenchContext,
  variant: HaproxyVariant,
  to: number | string | HaproxyEndsTls,
): Promise<Haproxy> {
  const { target, pemFile } = typeof to === 'object' ? to : { target: to, pemFile: undefined };
  const secured = pemFile === undefined ? '' : ` ssl crt ${pemFile} ssl-min-ver TLSv1.3`;
  const program = findHaproxy();
  if (program === undefined) throw new Error(haproxyMissing);
  const folder = mkdtempSync(path.join(tmpdir(), 'beamway-haproxy-'));
  context.defer(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const splice = variant === 'haproxy-splice' ? ['  option splice-request', '  option splice-response'] : [];
  const config = [
    'global',
    '  nbthread 1',
    '  maxconn 100',
    ...tuning[variant].map((line) => `  ${line}`),
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 120s',
    '  timeout server 120s',
    ...splice,
    'listen relayed',
    `  bind 127.0.0.1:${port}${secured}`,
    `  server pull ${typeof target === 'number' ? `127.0.0.1:${target}` : `unix@${target}`}`,
    '',
  ];
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(file, config.join('\n'));
  const child = context.track(spawn(program, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'inherit'] }));
  if (child.pid === undefined) throw new Error('cannot start HAProxy');
  await portAnswers(port, 5000);
  return { pid: child.pid, port };
}
