/** A whole Beamway (`./beamway up --dev`: control plane, database, node as processes) for the figures that go from an API call to a client's socket. Started once a run, ended with it. */
import amqp from 'amqplib';
import type { Client, Result } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { type Beamway, startBeamway } from '../../test/flows/start-beamway.ts';
import type { BenchContext } from '../figure.ts';

let running: Promise<Beamway> | undefined;

export function wholeSystem(context: BenchContext): Promise<Beamway> {
  running ??= startBeamway({ after: (action) => context.defer(async () => void (await action())) });
  return running;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.after(ms, resolve));

/** Creates a stream and waits until its node has it. Throws with the reason where it failed. */
export async function readyStream(client: Client, template: string): Promise<string> {
  const { id } = await client.call('stream.create', { body: { name: 'bench', template, parameters: {} } });
  for (;;) {
    const now = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
    if (now.state === 'ready') return id;
    if (now.state === 'failed' || now.state === 'released') throw new Error(`${template}: ${now.reason}`);
  }
}

/** Deletes it and waits until its node has let it go. */
export async function released(client: Client, id: string): Promise<void> {
  await client.call('stream.delete', { params: { id } });
  while ((await client.call('stream.show', { params: { id }, query: { waitSeconds: 5 } })).state !== 'released');
}

export async function connectAmqp(credential: Result<'stream.credential'>): Promise<amqp.ChannelModel> {
  const { endpoint, username, password, authority } = credential;
  const { hostname, port, pathname } = new URL(endpoint);
  const vhost = decodeURIComponent(pathname.slice(1)) || '/';
  const to = { protocol: 'amqps', hostname, port: Number(port), username, password, vhost };
  const connection = await amqp.connect(to, { ca: [authority ?? ''] });
  connection.on('error', () => undefined);
  return connection;
}
