// For tests only: stands where the gateway's relay is, so that beamline and workers can be tried without it.
// Binds four PLAIN sockets on free ports of 127.0.0.1 and forwards. Answers libzmq's authentication questions (RFC 27/ZAP), of which a
// process can have one handler: one stand-in at a time.
// With `redeliver` a DEALER puts a 12-byte tag before each frame and notes which tags come back. It delivers nothing again.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dealer, Pull, Push, Router } from 'zeromq';
import type { Delivery, StreamAttachments } from './stream-attachment.ts';

export type RelayStandIn = {
  /** A folder of this run, removed by close(). */
  readonly folder: string;
  readonly beamlineFile: string;
  readonly jobFile: string;
  /** Tags not sent back yet (redeliver only). */
  readonly openTags: () => number;
  /** Messages that went through on the frames stream, end messages included. */
  readonly forwarded: () => number;
  readonly close: () => Promise<void>;
};

const SERVER = { plainServer: true, linger: 0 } as const;

const CREDENTIALS = { username: 'stand-in', password: 'a-password-of-tests' } as const;

/** Answers one question: 200 for our credentials, else 400. */
async function answerZap(zap: Router): Promise<void> {
  const [peer, empty, version, request, , , , , username, password] = await zap.receive();
  const isKnown = String(username) === CREDENTIALS.username && String(password) === CREDENTIALS.password;
  const status = isKnown ? ['200', 'OK'] : ['400', 'unknown'];
  await zap.send([peer ?? '', empty ?? '', version ?? '', request ?? '', ...status, '', '']);
}

/** Runs a forwarding loop until one of its sockets is closed. */
async function until(closed: () => boolean, loop: () => Promise<void>): Promise<void> {
  try {
    for (;;) await loop();
  } catch (error) {
    if (!closed()) throw error;
  }
}

async function bindFrames(delivery: Delivery) {
  const input = new Pull({ ...SERVER, receiveHighWaterMark: 4 });
  const output =
    delivery === 'redeliver'
      ? new Dealer({ ...SERVER, sendHighWaterMark: 1 })
      : new Push({ ...SERVER, sendHighWaterMark: 1 });
  await Promise.all([input.bind('tcp://127.0.0.1:0'), output.bind('tcp://127.0.0.1:0')]);
  return { input, output };
}

export async function startRelayStandIn(delivery: Delivery): Promise<RelayStandIn> {
  const zap = new Router({ linger: 0 });
  await zap.bind('inproc://zeromq.zap.01');
  const frames = await bindFrames(delivery);
  const results = { input: new Pull(SERVER), output: new Push(SERVER) };
  await Promise.all([results.input.bind('tcp://127.0.0.1:0'), results.output.bind('tcp://127.0.0.1:0')]);
  const open = new Set<string>();
  let [forwarded, isClosed] = [0, false];
  const closed = (): boolean => isClosed;
  const loops = [
    until(closed, () => answerZap(zap)),
    until(closed, async () => {
      const parts = await frames.input.receive();
      const tag = Buffer.alloc(12);
      tag.writeUInt32LE(forwarded);
      forwarded += 1;
      if (frames.output instanceof Dealer) {
        open.add(tag.toString('hex'));
        await frames.output.send([tag, ...parts]);
      } else await frames.output.send(parts);
    }),
    until(closed, async () => results.output.send(await results.input.receive())),
  ];
  const { output } = frames;
  if (output instanceof Dealer) {
    loops.push(
      until(closed, async () => {
        const parts = await output.receive();
        const [tag] = parts;
        if (parts.length !== 1 || !tag || !open.delete(tag.toString('hex')))
          throw new Error('unknown delivery tag came back');
      }),
    );
  }
  const attachment = (role: 'producer' | 'consumer', endpoint: string | null, how: Delivery) => ({
    role,
    endpoint: endpoint ?? '',
    ...CREDENTIALS,
    delivery: how,
  });
  const folder = await mkdtemp(join(tmpdir(), 'beamway-lclstream-'));
  const write = async (name: string, streams: StreamAttachments): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, JSON.stringify({ streams }), { mode: 0o600 });
    return path;
  };
  return {
    folder,
    beamlineFile: await write('beamline.json', {
      frames: attachment('producer', frames.input.lastEndpoint, delivery),
      results: attachment('consumer', results.output.lastEndpoint, 'at-most-once'),
    }),
    jobFile: await write('job.json', {
      frames: attachment('consumer', frames.output.lastEndpoint, delivery),
      results: attachment('producer', results.input.lastEndpoint, 'at-most-once'),
    }),
    openTags: () => open.size,
    forwarded: () => forwarded,
    close: async () => {
      isClosed = true;
      for (const socket of [frames.input, frames.output, results.input, results.output, zap]) socket.close();
      await Promise.allSettled(loops);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
