// `beamway stream doctor` on a whole system: all is well for each engine, and a released stream is told; no message is put in or taken.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { readyStream } from './libzmq.ts';
import { LAUNCHER, startBeamway } from './start-beamway.ts';

const beamway = await startBeamway({ after });
const { client, value } = await beamway.mint();

async function doctor(id: string, ...more: string[]) {
  const env = { PATH: process.env['PATH'], BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value, HOME: '/nonexistent' };
  const child = spawn(LAUNCHER, ['stream', 'doctor', id, ...more], { env, stdio: ['ignore', 'pipe', 'pipe'] });
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

const NEEDS = {
  'lcls-frames': '/',
  steering: '/usr/bin/redis-server',
  'deleria-rabbitmq': '/usr/lib/rabbitmq',
} as const;

for (const [template, steps] of [
  ['lcls-frames', ['stream', 'name', 'connection', 'credential']],
  ['steering', ['stream', 'name', 'connection', 'encryption', 'credential', 'rights', 'delay', 'throughput']],
  ['deleria-rabbitmq', ['stream', 'name', 'connection', 'encryption', 'credential', 'rights']],
] as const)
  test(`a stream of ${template} is well as producer and as consumer, and stays empty`, {
    skip: existsSync(NEEDS[template]) ? false : `no ${NEEDS[template]}`,
  }, async () => {
    const { id } = await readyStream(client, template);
    for (const role of ['producer', 'consumer']) {
      const { code, out, err } = await doctor(id, '--role', role, '--json');
      assert.equal(code, 0, err);
      const report = JSON.parse(out) as { well: boolean; steps: { step: string; outcome: string }[] };
      assert.deepEqual([report.well, report.steps.map((s) => s.step)], [true, steps]);
    }
    const said = await doctor(id);
    assert.match(said.out, /^ok {4}.*\n(ok {4}.*\n)+$/);
    const { counters } = await client.call('stream.show', { params: { id } });
    assert.deepEqual([counters?.messagesIn, counters?.messagesOut, counters?.buffered], [0, 0, 0]);
    await client.call('stream.delete', { params: { id } });
    await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
    const gone = await doctor(id);
    assert.deepEqual([gone.code, /FAILED {2}stream .*is released/.test(gone.out)], [1, true], gone.out + gone.err);
  });
