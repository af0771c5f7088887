// `beamway stream bench` on a whole system: each engine carries the load whole, leaves the stream empty, and is not begun where somebody else is connected.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { admitted, credentialFor, pushTo, readyStream } from './libzmq.ts';
import { LAUNCHER, startBeamway, until } from './start-beamway.ts';

const beamway = await startBeamway({ after });
const { client, value } = await beamway.mint();

interface Done {
  readonly engine: string;
  readonly report: Readonly<Record<string, number>> & { readonly latencyMs: { readonly p50: number } };
  readonly warnings: readonly string[];
}

const bench = (id: string, ...more: string[]) => run('stream', 'bench', id, ...more);

async function run(...verb: string[]) {
  const env = { PATH: process.env['PATH'], BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value, HOME: '/nonexistent' };
  const child = spawn(LAUNCHER, verb, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part: Buffer) => {
    out += part;
  });
  child.stderr.on('data', (part: Buffer) => {
    err += part;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, out, err };
}

async function measured(id: string, ...more: string[]): Promise<Done> {
  const { code, out, err } = await bench(id, '--seconds', '2', '--json', ...more);
  assert.equal(code, 0, `${out}${err}`);
  const done = JSON.parse(out) as Done;
  const { sent, received, lost, damaged, foreign, duplicated } = done.report;
  assert.ok((sent ?? 0) > 0, out);
  assert.deepEqual([received, lost, damaged, foreign, duplicated], [sent, 0, 0, 0, 0], out);
  assert.ok(done.report.latencyMs.p50 > 0);
  return done;
}

/** Of the verb at work in a pipe: ended by SIGINT once it has said something. */
async function interrupted(...verb: string[]) {
  const env = { PATH: process.env['PATH'], BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value, HOME: '/nonexistent' };
  const child = spawn(LAUNCHER, verb, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (part: Buffer) => {
    if (said === '') child.kill('SIGINT');
    said += part;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, said };
}

const empty = (id: string) =>
  until('the stream is empty again', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return counters?.buffered === 0 && counters.producers + counters.consumers === 0;
  });

for (const { engine, template, program } of [
  { engine: 'relay', template: 'lcls-frames', program: '' },
  { engine: 'relay', template: 'lcls-results', program: '' },
  { engine: 'redis', template: 'deleria', program: '/usr/bin/redis-server' },
  { engine: 'rabbitmq', template: 'deleria-rabbitmq', program: '/usr/lib/rabbitmq' },
])
  test(`${engine} (${template}) carries a load whole, one way, and is empty after it`, {
    skip: program === '' || existsSync(program) ? false : `no ${program}`,
    timeout: 180_000,
  }, async () => {
    const { id } = await readyStream(client, template);
    const done = await measured(id, '--preset', 'deleria', '--rate', '100', '--producers', '2', '--consumers', '2');
    assert.equal(done.engine, engine);
    await empty(id);
    const slow = await measured(id, '--rate', '50', '--size', '1000', '--confirms', 'sync', '--prefetch', '1');
    assert.equal(
      slow.warnings.some((w) => /^synchronous confirms/.test(w)),
      engine !== 'relay',
    );
    const said = await bench(id, '--seconds', '1', '--rate', '20', '--size', '500');
    assert.match(said.out, /^achieved: +\d[\s\S]*^lost: +0$/m, said.out + said.err);
    await client.call('stream.delete', { params: { id } });
  });

test('messages published without confirms are counted, and top says so in words, without escape codes in a pipe', {
  skip: existsSync('/usr/lib/rabbitmq') ? false : 'no RabbitMQ',
  timeout: 180_000,
}, async () => {
  const { id } = await readyStream(client, 'deleria-rabbitmq');
  const done = await measured(id, '--rate', '50', '--size', '1000', '--confirms', 'none');
  assert.ok(done.warnings.some((w) => w.startsWith('no confirms')));
  await until('the node tells of it', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return counters?.unconfirmed === done.report['sent'];
  });
  const { code, said } = await interrupted('stream', 'top', '--sort', 'fill');
  assert.equal(code, 0);
  assert.ok(!said.includes('\u001b') && said.includes(id) && /warning: .* published without confirms/.test(said), said);
  const once = await run('stream', 'top', '--once', '--every', '1', '--json');
  const { streams } = JSON.parse(once.out) as { streams: { id: string; messagesIn: number; fill: number }[] };
  const own = streams.find((s) => s.id === id);
  assert.deepEqual([once.code, own?.messagesIn, own?.fill], [0, 0, 0]);
  await client.call('stream.delete', { params: { id } });
});

for (const { engine, template, program } of [
  { engine: 'redis', template: 'steering', program: '/usr/bin/redis-server' },
  { engine: 'rabbitmq', template: 'deleria-rabbitmq', program: '/usr/lib/rabbitmq' },
])
  test(`${engine} (${template}) carries answers back through the same stream`, {
    skip: existsSync(program) ? false : `no ${program}`,
    timeout: 180_000,
  }, async () => {
    const { id } = await readyStream(client, template);
    await measured(id, '--preset', 'steering');
    await empty(id);
    await client.call('stream.delete', { params: { id } });
  });

test('answers of a relay come back by a second stream; a stream in use is left alone', {
  timeout: 180_000,
}, async (t) => {
  const [{ id }, back] = [await readyStream(client, 'lcls-frames'), await readyStream(client, 'lcls-results')];
  await measured(id, '--preset', 'steering', '--back', back.id);
  const oneWay = await measured(id, '--preset', 'steering');
  assert.ok(oneWay.warnings.some((w) => w.startsWith('a relay goes one way')));
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  await admitted(push);
  await push.send('theirs');
  await until('the node tells of it', async () => {
    const { counters } = await client.call('stream.show', { params: { id } });
    return counters?.buffered === 1;
  });
  const refused = await bench(id, '--seconds', '1');
  assert.deepEqual([refused.code, /is in use \(1 producers.*1 messages/.test(refused.err)], [1, true], refused.err);
});
