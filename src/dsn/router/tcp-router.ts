/**
 * A packet router in user space for one stream (mode `l4`): HAProxy in `mode tcp`, which looks at addresses and at nothing else and tells the broker behind it whom it stands for (PROXY
 * protocol 2). A process of its own, which outlives the agent and is found again; its list of addresses is changed through its runtime socket, and who is not on it any more is cut. Owns
 * a folder: configuration, list, socket, record of the process.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { addressList } from '../../address-list.ts';
import type { Clock } from '../../clock.ts';
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from '../../process-identity.ts';
import { identitySchema, keep, readKept } from '../broker/kept-file.ts';

const PROGRAM = '/usr/sbin/haproxy';
const SOCKET = 's';
/** Of sun_path, less the suffix under which HAProxy makes it first. */
const LONGEST_SOCKET_PATH = 97;
const START_MS = 5000;
const STOP_MS = 2000;
const LOOK_MS = 20;
const ASK_MS = 2000;

export interface RouterTerms {
  /** Where users come in: only from the listed addresses. */
  readonly external: string;
  /** Where jobs come in; the same as `external`: the list holds for them too. */
  readonly compute: string;
  readonly port: number;
  /** CIDRs. */
  readonly allowed: readonly string[];
  /** A port of the loopback, whose server takes PROXY protocol 2. */
  readonly target: number;
  readonly maxConnections: number;
}

export interface Router {
  isAlive(): boolean;
  /** From now on only these; connections of others end. Rejects where HAProxy does not answer. */
  allow(cidrs: readonly string[]): Promise<void>;
}

/** Undefined where it is not installed. */
export const routerProgram = (): string | undefined => (existsSync(PROGRAM) ? PROGRAM : undefined);

/** Of the router that an earlier run left there; undefined where none runs. */
export function keptRouterPort(folder: string): number | undefined {
  const known = readKept(join(folder, 'process.json'), identitySchema);
  if (known === undefined || !isAlive(known)) return undefined;
  return readKept(join(folder, 'port.json'), z.int());
}

/** Adopts what runs in the folder, or starts it. Throws Error with its last words where it does not come up. */
export async function startRouter(folder: string, terms: RouterTerms, clock: Clock): Promise<Router> {
  if (Buffer.byteLength(join(folder, SOCKET)) > LONGEST_SOCKET_PATH)
    throw new Error(
      `${join(folder, SOCKET)} is too long for HAProxy's socket (${LONGEST_SOCKET_PATH} octets): give the node a shorter state folder`,
    );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const record = join(folder, 'process.json');
  const socket = join(folder, SOCKET);
  const known = readKept(record, identitySchema);
  const identity = known !== undefined && isAlive(known) ? known : launch(folder, terms);
  keep(record, identity);
  keep(join(folder, 'port.json'), terms.port);
  const router: Router = {
    isAlive: () => isAlive(identity),
    async allow(cidrs) {
      const file = join(folder, 'allowed.lst');
      const before = new Set(readFileSync(file, 'utf8').split('\n').filter(Boolean));
      const now = new Set(cidrs);
      // First the file: HAProxy started again reads it.
      writeFileSync(file, listText(cidrs), { mode: 0o600 });
      for (const cidr of now) if (!before.has(cidr)) await ask(socket, `add acl ${file} ${cidr}`);
      for (const cidr of before) if (!now.has(cidr)) await ask(socket, `del acl ${file} ${cidr}`);
      await cutOthers(socket, cidrs);
    },
  };
  for (const until = clock.monotonic() + START_MS; ; await pause(clock, LOOK_MS)) {
    if ((await ask(socket, 'show info').catch(() => '')).includes('Name: HAProxy')) break;
    if (!router.isAlive()) throw new Error(`HAProxy ended: ${lastLine(folder)}`);
    if (clock.monotonic() > until) throw new Error(`HAProxy does not answer: ${lastLine(folder)}`);
  }
  await router.allow(terms.allowed);
  return router;
}

/** Ends what runs there, its connections too, and removes the folder. */
export async function endRouter(folder: string, clock: Clock): Promise<void> {
  const identity = readKept(join(folder, 'process.json'), identitySchema);
  if (identity !== undefined && signalProcess(identity, 'SIGTERM'))
    for (const until = clock.monotonic() + STOP_MS; isAlive(identity); await pause(clock, LOOK_MS))
      if (clock.monotonic() > until) signalProcess(identity, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

const listText = (cidrs: readonly string[]): string => cidrs.map((cidr) => `${cidr}\n`).join('');

function configuration(folder: string, terms: RouterTerms): string {
  const bind = (host: string): string => `  bind ${host.includes(':') ? `[${host}]` : host}:${terms.port}`;
  const { external, compute, maxConnections } = terms;
  return [
    'global',
    `  stats socket ${join(folder, SOCKET)} mode 600 level admin`,
    `  maxconn ${maxConnections * 2 + 16}`,
    // The default of 16 KiB gives half the speed: measured, see the reference on data planes.
    '  tune.bufsize 131072',
    'defaults',
    '  mode tcp',
    `  maxconn ${maxConnections}`,
    '  timeout connect 5s',
    // A quiet stream is no dead one: AMQP's heartbeats and TCP's keepalive find those.
    '  timeout client 7d',
    '  timeout server 7d',
    '  option clitcpka',
    '  option srvtcpka',
    'frontend external',
    bind(external),
    `  tcp-request connection reject unless { src -f ${join(folder, 'allowed.lst')} }`,
    '  default_backend broker',
    ...(compute === external ? [] : ['frontend compute', bind(compute), '  default_backend broker']),
    'backend broker',
    `  server broker 127.0.0.1:${terms.target} send-proxy-v2`,
    '',
  ].join('\n');
}

function launch(folder: string, terms: RouterTerms): ProcessIdentity {
  const program = routerProgram();
  if (program === undefined) throw new Error('no HAProxy is installed on this node; Debian: apt install haproxy');
  const config = join(folder, 'haproxy.cfg');
  writeFileSync(join(folder, 'allowed.lst'), listText(terms.allowed), { mode: 0o600 });
  writeFileSync(config, configuration(folder, terms), { mode: 0o600 });
  rmSync(join(folder, SOCKET), { force: true });
  const log = openSync(join(folder, 'out.log'), 'a', 0o600);
  try {
    const child = spawn(program, ['-db', '-f', config], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', log, log],
      env: {},
    });
    child.on('error', () => undefined);
    child.unref();
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (identity === undefined) throw new Error(`${program} could not be started`);
    return identity;
  } finally {
    closeSync(log);
  }
}

/** Sessions of `frontend external` whose source is on no list any more. */
async function cutOthers(socket: string, cidrs: readonly string[]): Promise<void> {
  const allowed = addressList(cidrs);
  for (const line of (await ask(socket, 'show sess')).split('\n')) {
    const id = /^(0x[0-9a-f]+):/.exec(line)?.[1];
    const source = /\bsrc=(\S+):\d+\b/.exec(line)?.[1];
    if (id === undefined || source === undefined || !/\bfe=external\b/.test(line)) continue;
    if (!allowed.check(source)) await ask(socket, `shutdown session ${id}`);
  }
}

/** One command of HAProxy's runtime API; what it answers. */
function ask(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = net.connect({ path, timeout: ASK_MS });
    socket.on('connect', () => socket.end(`${command}\n`));
    socket.on('data', (part: Buffer) => {
      said += part.toString();
    });
    socket.on('timeout', () => socket.destroy(new Error('HAProxy does not answer')));
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
  });
}

function lastLine(folder: string): string {
  return readFileSync(join(folder, 'out.log'), 'utf8').trim().split('\n').slice(-3).join(' | ').slice(-500);
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
