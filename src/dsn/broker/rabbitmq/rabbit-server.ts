/**
 * One RabbitMQ and its epmd, on loopback only, in a folder of their own (0700). Both outlive the agent's SIGKILL and are found again by pid and start time. Owns the folder: configuration,
 * secrets (0600), records of the processes, data, log. Facts of start-up: Debian's rabbitmq-server 3.10.8.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../../clock.ts';
import { freePorts } from '../../../free-ports.ts';
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from '../../../process-identity.ts';
import { PROTOCOL_HEADER } from '../../amqp/index.ts';
import type { NodePem } from '../../certificate/node-certificate.ts';
import { serverPropertiesIn } from '../../gateway/amqp-handshake.ts';
import { identitySchema, keep, readKept } from '../kept-file.ts';
import { type Management, openManagement } from './management.ts';

const START_MS = 60_000;
const LOOK_MS = 50;
const STOP_MS = 1500;
const ASK_MS = 2000;

const keptSchema = z.strictObject({
  ports: z.strictObject({ amqp: z.int(), management: z.int(), dist: z.int(), epmd: z.int(), callback: z.int() }),
  /** Of the listener that clients reach; only where there is one. */
  publicPort: z.int().optional(),
  agentPassword: z.string(),
  gatewaySecret: z.string(),
  callbackSecret: z.string(),
});
/** What a RabbitMQ's folder keeps over its life and the agent's. */
export type RabbitKept = z.output<typeof keptSchema>;

export interface RabbitTerms {
  /** RabbitMQ stops all publishers above it (vm_memory_high_watermark). */
  readonly watermarkBytes: number;
  /** Where clients reach the broker itself; absent: on loopback only. */
  readonly listen?: RabbitListen | undefined;
}

export interface RabbitListen {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly pem: () => NodePem | undefined;
  /** Whoever connects says first for whom, by PROXY protocol: only a router does. */
  readonly proxied: boolean;
}

export interface RabbitServer {
  readonly amqp: { readonly host: string; readonly port: number };
  readonly management: Management;
  /** Of its Connection.Start. */
  readonly serverProperties: Buffer;
  isAlive(): boolean;
  pid(): number;
}

/** Undefined where none is installed. */
export const rabbitProgram = (): string | undefined =>
  globSync('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server').sort().at(-1);

/** Whether a broker of an earlier run is alive there. */
export function isRunning(folder: string): boolean {
  const identity = readKept(join(folder, 'process.json'), identitySchema);
  return identity !== undefined && isAlive(identity);
}

/** What the folder keeps; made where it is not there yet. */
export async function rabbitKept(folder: string): Promise<RabbitKept> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'kept.json');
  const known = readKept(path, keptSchema);
  if (known !== undefined) return known;
  const [amqp = 0, management = 0, dist = 0, epmd = 0, callback = 0] = await freePorts(5);
  const secret = (): string => randomBytes(24).toString('hex');
  const kept = {
    ports: { amqp, management, dist, epmd, callback },
    ...{ agentPassword: secret(), gatewaySecret: secret(), callbackSecret: secret() },
  };
  keep(path, kept);
  return kept;
}

/** RabbitMQ reads its certificate from files; a new one is taken up by new connections within two minutes (Erlang's PEM cache). */
export function writeCertificate(folder: string, pem: NodePem): void {
  for (const [name, text] of [
    ['authority.pem', pem.authority],
    ['certificate.pem', pem.certificate],
    ['key.pem', pem.privateKey],
  ] as const) {
    const path = join(folder, name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

/** Kept over restarts, as clients were told it. */
export async function publicPort(folder: string, choose: () => Promise<number>): Promise<number> {
  const kept = await rabbitKept(folder);
  if (kept.publicPort !== undefined) return kept.publicPort;
  const port = await choose();
  keep(join(folder, 'kept.json'), { ...kept, publicPort: port });
  return port;
}

/** Adopts what runs there, or starts it: about 6 s of two cores. Throws Error with its log's last lines where it does not come up. */
export async function startRabbit(folder: string, terms: RabbitTerms, clock: Clock): Promise<RabbitServer> {
  const kept = await rabbitKept(folder);
  ensureProcess(join(folder, 'epmd.json'), () => launchEpmd(folder, kept));
  const running = ensureProcess(join(folder, 'process.json'), () => launchBroker(folder, kept, terms));
  const management = openManagement({ port: kept.ports.management, password: kept.agentPassword });
  const amqp = { host: '127.0.0.1', port: kept.ports.amqp };
  const until = clock.monotonic() + START_MS;
  for (;;) {
    const serverProperties = await askProperties(amqp, terms.listen?.proxied === true).catch(() => undefined);
    if (serverProperties !== undefined && (await management.look().catch(() => undefined)) !== undefined)
      return { amqp, management, serverProperties, isAlive: () => isAlive(running), pid: () => running.pid };
    if (!isAlive(running)) throw new Error(`RabbitMQ ended while it started: ${lastLines(folder)}`);
    if (clock.monotonic() > until) {
      signalProcess(running, 'SIGKILL');
      throw new Error(`RabbitMQ does not answer after ${START_MS / 1000} s: ${lastLines(folder)}`);
    }
    await pause(clock, LOOK_MS);
  }
}

/** Ends broker and epmd (which would stay), and removes the folder with its data. */
export async function endRabbit(folder: string, clock: Clock): Promise<void> {
  for (const record of ['process.json', 'epmd.json']) {
    const identity = readKept(join(folder, record), identitySchema);
    // Nothing is kept of it: no need to wait out the 6 s that its management plugin takes to stop.
    if (identity === undefined || !signalProcess(identity, 'SIGTERM')) continue;
    for (const until = clock.monotonic() + STOP_MS; isAlive(identity); await pause(clock, LOOK_MS))
      if (clock.monotonic() > until) signalProcess(identity, 'SIGKILL');
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Kills a broker that lives and does not answer; the next start begins it anew on its data. */
export function killRabbit(server: RabbitServer): void {
  const identity = identityOf(server.pid());
  if (identity !== undefined) signalProcess(identity, 'SIGKILL');
}

function ensureProcess(record: string, launch: () => ProcessIdentity): ProcessIdentity {
  const known = readKept(record, identitySchema);
  if (known !== undefined && isAlive(known)) return known;
  const identity = launch();
  keep(record, identity);
  return identity;
}

/** In the foreground, as a process of ours: the one that Erlang starts by itself would be on every interface, and stay. */
function launchEpmd(folder: string, { ports }: RabbitKept): ProcessIdentity {
  const env = { PATH: '/usr/bin:/bin', ERL_EPMD_ADDRESS: '127.0.0.1', ERL_EPMD_PORT: String(ports.epmd) };
  return launch(folder, ['/usr/bin/epmd', '-port', String(ports.epmd), '-address', '127.0.0.1'], env);
}

function launchBroker(folder: string, kept: RabbitKept, terms: RabbitTerms): ProcessIdentity {
  const program = rabbitProgram();
  if (program === undefined)
    throw new Error('no RabbitMQ is installed on this node; Debian: apt install rabbitmq-server');
  const home = join(folder, 'home');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const cookie = join(home, '.erlang.cookie');
  if (!existsSync(cookie)) writeFileSync(cookie, randomBytes(24).toString('hex'), { mode: 0o400 });
  if (terms.listen !== undefined) {
    const pem = terms.listen.pem();
    if (pem === undefined) throw new Error('the node has no certificate yet');
    writeCertificate(folder, pem);
  }
  writeFileSync(join(folder, 'rabbitmq.conf'), configuration(folder, kept, terms), { mode: 0o600 });
  writeFileSync(join(folder, 'enabled_plugins'), '[rabbitmq_management,rabbitmq_auth_backend_http].\n');
  return launch(folder, [program], {
    HOME: home,
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    // Of this epmd there is one broker.
    RABBITMQ_NODENAME: 'beamway@localhost',
    RABBITMQ_BASE: folder,
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_DIST_PORT: String(kept.ports.dist),
    ERL_EPMD_PORT: String(kept.ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    // The script becomes the broker instead of waiting for it: its pid is the broker's.
    RUNNING_UNDER_SYSTEMD: 'true',
  });
}

function configuration(folder: string, kept: RabbitKept, terms: RabbitTerms): string {
  const { ports, agentPassword, callbackSecret } = kept;
  const callback = (path: string): string => `http://127.0.0.1:${ports.callback}/${callbackSecret}/${path}`;
  return [
    '# Written by the node agent; replaced at each start of the broker.',
    `listeners.tcp.1 = 127.0.0.1:${ports.amqp}`,
    'management.tcp.ip = 127.0.0.1',
    `management.tcp.port = ${ports.management}`,
    'log.console = false',
    'log.file = rabbit.log',
    'log.file.level = warning',
    'log.file.rotation.size = 10485760',
    'log.file.rotation.count = 3',
    'default_user = beamway',
    `default_pass = ${agentPassword}`,
    'default_vhost = beamway',
    'default_user_tags.administrator = true',
    // Our own account first; of everybody else the node is asked.
    'auth_backends.1 = internal',
    'auth_backends.2 = http',
    'auth_http.http_method = post',
    ...(['user', 'vhost', 'resource', 'topic'] as const).map((path) => `auth_http.${path}_path = ${callback(path)}`),
    'collect_statistics_interval = 1000',
    `vm_memory_high_watermark.absolute = ${terms.watermarkBytes}`,
    'disk_free_limit.absolute = 512MB',
    'channel_max = 256',
    'heartbeat = 60',
    ...publicListener(folder, terms.listen),
    '',
  ].join('\n');
}

function publicListener(folder: string, listen: RabbitListen | undefined): readonly string[] {
  if (listen === undefined) return [];
  const { hosts, port, proxied } = listen;
  const address = (host: string): string => (host.includes(':') ? `[${host}]` : host);
  return [
    ...[...new Set(hosts)].map((host, i) => `listeners.ssl.${i + 1} = ${address(host)}:${port}`),
    `ssl_options.cacertfile = ${join(folder, 'authority.pem')}`,
    `ssl_options.certfile = ${join(folder, 'certificate.pem')}`,
    `ssl_options.keyfile = ${join(folder, 'key.pem')}`,
    'ssl_options.verify = verify_none',
    'ssl_options.fail_if_no_peer_cert = false',
    'ssl_options.versions.1 = tlsv1.3',
    `proxy_protocol = ${proxied}`,
  ];
}

function launch(
  folder: string,
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): ProcessIdentity {
  const [program, ...args] = argv;
  const log = openSync(join(folder, 'out.log'), 'a', 0o600);
  try {
    const child = spawn(program, args, { cwd: folder, detached: true, stdio: ['ignore', log, log], env });
    child.on('error', () => undefined);
    child.unref();
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (identity === undefined) throw new Error(`${program} could not be started`);
    return identity;
  } finally {
    closeSync(log);
  }
}

/** Begins a connection, reads Connection.Start, and goes away again. */
function askProperties(amqp: { readonly host: string; readonly port: number }, proxied: boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let octets: Buffer = Buffer.alloc(0);
    const socket = net.connect({ ...amqp, timeout: ASK_MS });
    const end = (act: () => void): void => {
      socket.destroy();
      act();
    };
    socket.on('connect', () => {
      // RabbitMQ 3.10 does not survive UNKNOWN.
      if (proxied) socket.write(`PROXY TCP4 127.0.0.1 127.0.0.1 1 ${amqp.port}\r\n`);
      socket.write(PROTOCOL_HEADER);
    });
    socket.on('timeout', () => end(() => reject(new Error('it does not answer'))));
    socket.on('error', (cause) => end(() => reject(cause)));
    socket.on('close', () => reject(new Error('it closed the connection')));
    socket.on('data', (part: Buffer) => {
      octets = Buffer.concat([octets, part]);
      try {
        const properties = serverPropertiesIn(octets);
        if (properties !== undefined) end(() => resolve(properties));
      } catch (cause) {
        end(() => reject(cause as Error));
      }
    });
  });
}

function lastLines(folder: string): string {
  try {
    return readFileSync(join(folder, 'out.log'), 'utf8').trim().split('\n').slice(-5).join(' | ').slice(-500);
  } catch {
    return 'no log';
  }
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
