import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError, isLoopback, parseListen, readSettings, urlOf } from './config.ts';

const given = { state: 'state', listen: '127.0.0.1:0' };

test('a listen address is read in both families, and everything else is refused with an example', () => {
  assert.deepEqual(parseListen('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 });
  assert.equal(urlOf({ host: '::1', port: 80 }), 'http://[::1]:80');
  for (const bad of ['', '8080', '127.0.0.1', '127.0.0.1:65536', '::1:80', '[127.0.0.1', 'a:b'])
    assert.throws(() => parseListen(bad), /ADDRESS:PORT/, bad);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const { port } = parseListen(text);
        return port >= 0 && port <= 65_535;
      } catch (error) {
        return error instanceof ConfigError;
      }
    }),
  );
});

test('plain HTTP is served on loopback only', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '10.0.0.1', '::', '127.0.0.1.example.org', '1127.0.0.1'])
    assert.ok(!isLoopback(host), host);
  for (const listen of ['0.0.0.0:80', '[::]:80', '192.168.1.1:80'])
    assert.throws(() => readSettings({ ...given, listen, dev: true }, {}), /loopback only/);
});

test('every wrong setting is named at once', () => {
  const env = { BEAMWAY_LOG_LEVEL: 'loud', BEAMWAY_LIMIT_FACTOR: '0', BEAMWAY_POSTGRES: 'mysql' };
  assert.throws(
    () => readSettings(given, env),
    (error: unknown) =>
      error instanceof ConfigError && Object.keys(env).every((name) => error.message.includes(`${name}: `)),
  );
});

test('a database URL with a password in it is refused and not repeated', () => {
  const env = { BEAMWAY_DATABASE_URL: 'postgresql://beamway:hunter2@db/beamway' };
  assert.throws(
    () => readSettings(given, env),
    (error: unknown) =>
      error instanceof ConfigError && /PASSWORD_FILE/.test(error.message) && !/hunter2/.test(error.message),
  );
  const plain = { BEAMWAY_DATABASE_URL: 'postgresql://beamway@db:5432/beamway' };
  assert.equal(readSettings(given, plain).databaseUrl, plain.BEAMWAY_DATABASE_URL);
});

test('what is left out has its default, and paths become absolute', () => {
  const settings = readSettings(given, {});
  assert.equal(settings.stateDir, `${process.cwd()}/state`);
  assert.equal(settings.dev, false);
  assert.equal(settings.limitFactor, 1);
  assert.deepEqual(settings.trustedProxies, []);
});

test('trusted proxies are addresses and networks; anything else is refused by name', () => {
  const proxies = (text: string) => readSettings(given, { BEAMWAY_TRUSTED_PROXIES: text }).trustedProxies;
  assert.deepEqual(proxies('10.1.2.0/24, ::1'), ['10.1.2.0/24', '::1']);
  assert.throws(() => proxies('10.1.2.0/24,proxy.example.org'), /BEAMWAY_TRUSTED_PROXIES proxy\.example\.org/);
});

test('the public URL is an https origin and nothing more; plain http on loopback only', () => {
  const publicUrl = (text: string): string | undefined => readSettings(given, { BEAMWAY_PUBLIC_URL: text }).publicUrl;
  assert.equal(readSettings(given, {}).publicUrl, undefined);
  assert.equal(publicUrl('https://beamway.example.org/'), 'https://beamway.example.org');
  assert.equal(publicUrl('http://localhost:9999'), 'http://localhost:9999');
  assert.equal(publicUrl('http://[::1]:9999'), 'http://[::1]:9999');
  for (const bad of [
    '',
    'beamway',
    'http://beamway.example.org',
    'https://x.org/path',
    'https://x.org?a',
    'https://u@x.org',
    'ftp://localhost',
  ])
    assert.throws(() => publicUrl(bad), ConfigError, bad);
});
