/**
 * Every setting in one schema, read once by the composition roots: from arguments, then from the environment. Settings that are unsafe
 * refuse to start outside `--dev`. The only file beside the launcher that reads `process.env`.
 */
import { isIPv6 } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { isCidr } from './address-list.ts';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:8080`, `[::1]:0`; port 0 takes a free one. Throws ConfigError. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535)
    throw new ConfigError(`--listen ${text}: write ADDRESS:PORT, for example 127.0.0.1:8080 or [::1]:0`);
  return { host, port };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

export function urlOf(listen: ListenAddress): string {
  return `http://${isIPv6(listen.host) ? `[${listen.host}]` : listen.host}:${listen.port}`;
}

const environmentSchema = z.object({
  BEAMWAY_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  BEAMWAY_DATABASE_URL: z.string().optional(),
  BEAMWAY_DATABASE_PASSWORD_FILE: z.string().optional(),
  BEAMWAY_POSTGRES: z.enum(['auto', 'npm', 'system']).default('auto'),
  BEAMWAY_PUBLIC_URL: z.string().optional(),
  BEAMWAY_LIMIT_FACTOR: z.coerce.number().min(0.01).max(10_000).default(1),
  BEAMWAY_TRUSTED_PROXIES: z.string().default(''),
});

export interface Settings {
  readonly stateDir: string;
  readonly facilityDir: string;
  readonly listen: ListenAddress;
  readonly dev: boolean;
  readonly logLevel: string;
  /** An external PostgreSQL; absent: the supervised one. */
  readonly databaseUrl: string | undefined;
  readonly databasePasswordFile: string | undefined;
  readonly postgres: 'auto' | 'npm' | 'system';
  /** Scheme, host and port by which browsers know us, where a TLS terminator stands before us; undefined: as we listen. */
  readonly publicUrl: string | undefined;
  /** Multiplies every rate, burst and cap of limits.yaml. */
  readonly limitFactor: number;
  /** A real Slurm of its own in place of the facility's first cluster. */
  readonly withSlurm: boolean;
  /** CIDRs of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
}

export interface UpArguments {
  readonly state: string;
  readonly listen: string;
  readonly facility?: string;
  readonly dev?: boolean;
  readonly with?: string;
}

/** The facility folder that comes with the checkout: an example to copy. */
export const EXAMPLE_FACILITY = fileURLToPath(new URL('../facility', import.meta.url));

/** Throws ConfigError naming every setting that is wrong. */
export function readSettings(given: UpArguments, env: Readonly<Record<string, string | undefined>>): Settings {
  const parsed = environmentSchema.safeParse(env);
  if (!parsed.success)
    throw new ConfigError(parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('\n'));
  const listen = parseListen(given.listen);
  const dev = given.dev === true;
  if (given.with !== undefined && given.with !== 'slurm')
    throw new ConfigError(`--with ${given.with}: only slurm is known`);
  if (!isLoopback(listen.host)) {
    throw new ConfigError(
      `--listen ${given.listen}: plain HTTP is served on loopback only. Put a TLS terminator in front and listen on 127.0.0.1.`,
    );
  }
  const settings = parsed.data;
  if (settings.BEAMWAY_DATABASE_URL !== undefined && /:\/\/[^/@]*:[^/@]+@/.test(settings.BEAMWAY_DATABASE_URL)) {
    throw new ConfigError(
      'BEAMWAY_DATABASE_URL holds a password: put it into a 0600 file and name that in BEAMWAY_DATABASE_PASSWORD_FILE.',
    );
  }
  const publicUrl = settings.BEAMWAY_PUBLIC_URL;
  if (publicUrl !== undefined && !isPublicUrl(publicUrl))
    throw new ConfigError(
      `BEAMWAY_PUBLIC_URL ${publicUrl}: write the https origin that browsers use, for example https://beamway.example.org (plain http on loopback only).`,
    );
  const trustedProxies = settings.BEAMWAY_TRUSTED_PROXIES.split(',')
    .map((cidr) => cidr.trim())
    .filter((cidr) => cidr !== '');
  const noCidr = trustedProxies.find((cidr) => !isCidr(cidr));
  if (noCidr !== undefined)
    throw new ConfigError(
      `BEAMWAY_TRUSTED_PROXIES ${noCidr}: write addresses or networks with commas between, for example 10.1.2.0/24,::1`,
    );
  const absolute = (path: string): string => (isAbsolute(path) ? path : resolve(path));
  return {
    stateDir: absolute(given.state),
    facilityDir: given.facility === undefined ? EXAMPLE_FACILITY : absolute(given.facility),
    listen,
    dev,
    logLevel: settings.BEAMWAY_LOG_LEVEL,
    databaseUrl: settings.BEAMWAY_DATABASE_URL,
    databasePasswordFile: settings.BEAMWAY_DATABASE_PASSWORD_FILE,
    postgres: settings.BEAMWAY_POSTGRES,
    publicUrl: publicUrl === undefined ? undefined : new URL(publicUrl).origin,
    limitFactor: settings.BEAMWAY_LIMIT_FACTOR,
    trustedProxies,
    withSlurm: given.with === 'slurm',
  };
}

/** An origin and nothing more. */
function isPublicUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, pathname, search, hash, username } = new URL(text);
  if (pathname !== '/' || search !== '' || hash !== '' || username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replaceAll(/^\[|\]$/g, '')));
}
