// A RabbitMQ stream on a whole system: from a template to plain AMQP clients, a job's own credential, revoking, the agent's death, `stream doctor`, and what is left when all is stopped.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import amqp from 'amqplib';
import type { Result } from '../../clients/typescript/src/index.ts';
import { credentialFor, readyStream } from './libzmq.ts';
import { isAlive, LAUNCHER, startBeamway, until } from './start-beamway.ts';

const skip = existsSync('/usr/lib/rabbitmq') ? false : 'no RabbitMQ; Debian: apt-get install rabbitmq-server';
const noPika = existsSync('/usr/lib/python3/dist-packages/pika')
  ? false
  : 'no pika; Debian: apt-get install python3-pika';
const beamway = skip === false ? await startBeamway({ after }) : undefined;

async function connect({ endpoint, username, password, authority }: Result<'stream.credential'>) {
  const { hostname, port, pathname } = new URL(endpoint);
  const vhost = decodeURIComponent(pathname.slice(1)) || '/';
  const to = { protocol: 'amqps', hostname, port: Number(port), username, password, vhost };
  const connection = await amqp.connect(to, { ca: [authority ?? ''] });
  const said: string[] = [];
  connection.on('error', (cause: Error) => void said.push(cause.message));
  const closed = new Promise<string>((resolve) => {
    connection.on('close', (cause?: Error) => resolve([...said, cause?.message ?? ''].join(' ')));
  });
  return { connection, closed };
}

/** As a scientist writes it. */
const JOB = `#!/usr/bin/python3
import json, os, ssl, urllib.parse, pika
s = json.load(open(os.environ["BEAMWAY_STREAMS"]))["streams"]["events"]
at = urllib.parse.urlsplit(s["endpoint"])
login = pika.PlainCredentials(s["username"], s["password"])
tls = pika.SSLOptions(ssl.create_default_context(cadata=s["authority"]), at.hostname)
c = pika.BlockingConnection(pika.ConnectionParameters(at.hostname, at.port, credentials=login, ssl_options=tls))
into = c.channel()
for method, _, body in into.consume("frames"):
    into.basic_ack(method.delivery_tag)
    print("the job read", body.decode(), flush=True)
    break
c.close()
`;

test('producer and job read what was put in, each by a credential of its own; the doctor finds nothing wrong', {
  skip: skip || noPika,
  timeout: 120_000,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client, value } = await beamway.mint();
  const { id } = await readyStream(client, 'deleria-rabbitmq');
  const { connection } = await connect(await credentialFor(client, id, 'producer'));
  const out = await connection.createConfirmChannel();
  out.sendToQueue('frames', Buffer.from('hello job'));
  await out.waitForConfirms();
  if (existsSync('/usr/bin/amqp-publish')) {
    const other = await credentialFor(client, id, 'producer');
    const pem = join(beamway.state, 'authority.pem');
    writeFileSync(pem, other.authority ?? '');
    // amqp-tools compare names only, never addresses.
    const { port } = new URL(other.endpoint);
    const url = `amqps://${other.username}:${other.password}@localhost:${port}`;
    const args = ['--ssl', '--cacert', pem, '-u', url, '-r', 'frames', '-b', 'from a shell'];
    await promisify(execFile)('/usr/bin/amqp-publish', args, { timeout: 20_000 });
  }
  const job = await client.call('job.submit', {
    body: { script: JOB, timeLimitSeconds: 60, streams: [{ stream: id, name: 'events', role: 'consumer' }] },
  });
  const ended = await until('the job has ended', async () => {
    const now = await client.call('job.show', { params: { id: job.id } });
    return ['completed', 'failed', 'cancelled', 'timed-out'].includes(now.state) && now;
  });
  const { text } = await client.call('job.output', { params: { id: job.id } });
  assert.deepEqual([ended.state, text], ['completed', 'the job read hello job\n']);
  const { endpoints } = await until('it is counted', async () => {
    const now = await client.call('stream.show', { params: { id } });
    return (now.counters?.messagesIn ?? 0) >= 1 && (now.counters?.messagesOut ?? 0) >= 1 && now;
  });
  assert.match(endpoints['producer'] ?? '', /^amqps:\/\//);
  const env = { PATH: process.env['PATH'], BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value, HOME: '/nonexistent' };
  const doctor = await promisify(execFile)(LAUNCHER, ['stream', 'doctor', id], { env });
  assert.match(doctor.stdout, /encryption {2}TLSv1\.3, the certificate of dsn01[\s\S]*credential {2}.* is let in/);
  await connection.close();
  await client.call('stream.delete', { params: { id } });
});

test('a RabbitMQ of its own is reached directly, counted, and gone with its stream; a revoked token’s connection is ended', {
  skip,
  timeout: 120_000,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const guest = await beamway.mint();
  const { id, endpoints } = await readyStream(client, 'rabbitmq-dedicated');
  assert.match(endpoints['producer'] ?? '', new RegExp(`^amqps://.*/${id}$`));
  const { connection } = await connect(await credentialFor(client, id, 'producer'));
  const out = await connection.createConfirmChannel();
  for (let i = 0; i < 10; i++) out.sendToQueue('frames', Buffer.alloc(100_000, i));
  await out.waitForConfirms();
  await until('it is counted', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return counters?.messagesIn === 10 && counters.producers === 1 && counters.bufferedBytes === 1_000_000;
  });
  const theirs = await connect(await credentialFor(guest.client, id, 'consumer'));
  await beamway.admin().call('token.revoke', { params: { id: guest.id } });
  assert.match(await theirs.closed, /revoked/);
  await connection.close();
  const folder = join(beamway.state, 'nodes', beamway.node().name, 'rabbitmq', `own-direct-${id}`);
  const { pid } = JSON.parse(readFileSync(join(folder, 'process.json'), 'utf8')) as { pid: number };
  await client.call('stream.delete', { params: { id } });
  await until('it is gone', async () => {
    const { state } = await client.call('stream.show', { params: { id }, query: { waitSeconds: 5 } });
    return state === 'released';
  });
  assert.deepEqual([existsSync(folder), isAlive(pid)], [false, false]);
});

test('a revoked token’s connection is told why and cut; data survive the agent’s SIGKILL; nothing runs on when all is stopped', {
  skip,
  timeout: 120_000,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const guest = await beamway.mint();
  const { id } = await readyStream(client, 'deleria-rabbitmq');
  const theirs = await connect(await credentialFor(guest.client, id, 'producer'));
  await beamway.admin().call('token.revoke', { params: { id: guest.id } });
  assert.match(await theirs.closed, /320.*revoked/s);
  const credential = await credentialFor(client, id, 'producer');
  const first = await connect(credential);
  const out = await first.connection.createConfirmChannel();
  out.sendToQueue('frames', Buffer.from('kept'));
  await out.waitForConfirms();
  process.kill(beamway.node().pid, 'SIGKILL');
  await first.closed;
  const again = await until('the node is back', () => connect(credential).catch(() => undefined));
  const checked = await (await again.connection.createChannel()).checkQueue('frames');
  assert.equal(checked.messageCount, 1);
  await again.connection.close();
  const folder = join(beamway.state, 'nodes', beamway.node().name, 'rabbitmq', 'shared-open');
  const pids = ['process.json', 'epmd.json'].map(
    (file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { pid: number }).pid,
  );
  assert.ok(pids.every(isAlive));
  await client.call('stream.delete', { params: { id } });
  await until('it is gone', async () => {
    const { state } = await client.call('stream.show', { params: { id }, query: { waitSeconds: 5 } });
    return state === 'released';
  });
  assert.ok(pids.every(isAlive), 'the enclave’s RabbitMQ stays warm');
  await beamway.stop();
  assert.deepEqual(
    pids.map((pid) => isAlive(pid)),
    [false, false],
  );
});
