/** For tests: a real OpenLDAP server (Debian's slapd) in a temporary folder on a free loopback port, with StartTLS and ldaps on a certificate of its own. Ends with the test. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../clock.ts';

const SLAPD = '/usr/sbin/slapd';
const SLAPADD = '/usr/sbin/slapadd';
const NEEDED = [SLAPD, SLAPADD, '/etc/ldap/schema/nis.schema', '/usr/bin/openssl'];
const PATIENCE_MS = 15_000;

export const SUFFIX = 'dc=example,dc=org';
export const BIND_DN = `cn=reader,${SUFFIX}`;
export const PASSWORD = 'the reader’s own (test only) *)';

/** Undefined: it can be had. */
export function whyNoSlapd(): string | undefined {
  const missing = NEEDED.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `no ${missing.join(', ')}: apt-get install slapd ldap-utils openssl`;
}

export interface TestDirectory {
  /** ldap://127.0.0.1:PORT, and with TLS from the begin. */
  readonly url: string;
  readonly tlsUrl: string;
  readonly caFile: string;
  readonly passwordFile: string;
  /** Ends the server; safe to repeat. */
  stop(): Promise<void>;
}

/** `ldif`: the entries below the suffix. The server answers at most `sizeLimit` entries to a search without pages. */
export async function startSlapd(ldif: string, sizeLimit: number): Promise<TestDirectory> {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-slapd-'));
  const at = (name: string): string => join(folder, name);
  mkdirSync(at('data'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  execFileSync(
    '/usr/bin/openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=127.0.0.1',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      at('key.pem'),
      '-out',
      at('cert.pem'),
    ],
    { stdio: 'ignore' },
  );
  writeFileSync(at('password'), `${PASSWORD}\n`, { mode: 0o600 });
  writeFileSync(
    at('slapd.conf'),
    `${['core', 'cosine', 'inetorgperson', 'nis'].map((s) => `include /etc/ldap/schema/${s}.schema\n`).join('')}modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${at('slapd.pid')}
TLSCertificateFile ${at('cert.pem')}
TLSCertificateKeyFile ${at('key.pem')}
disallow bind_anon
require authc
database mdb
suffix "${SUFFIX}"
directory ${at('data')}
maxsize 16777216
rootdn "${BIND_DN}"
rootpw "${PASSWORD}"
limits dn.exact="${BIND_DN}" size.soft=${sizeLimit} size.hard=${sizeLimit} size.prtotal=unlimited
access to * by users read
`,
    { mode: 0o600 },
  );
  const head = `dn: ${SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n`;
  execFileSync(SLAPADD, ['-q', '-f', at('slapd.conf')], { input: head + ldif, stdio: ['pipe', 'ignore', 'inherit'] });
  // -d 0: in the foreground, and silent.
  const child = spawn(
    SLAPD,
    ['-f', at('slapd.conf'), '-h', `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${tlsPort}`, '-d', '0'],
    { stdio: 'ignore' },
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const end = systemClock.monotonic() + PATIENCE_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null || systemClock.monotonic() > end) {
      await stop();
      throw new Error('slapd does not come up');
    }
    await new Promise<void>((resolve) => void systemClock.after(20, resolve));
  }
  return {
    url: `ldap://127.0.0.1:${port}`,
    tlsUrl: `ldaps://127.0.0.1:${tlsPort}`,
    caFile: at('cert.pem'),
    passwordFile: at('password'),
    stop,
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
