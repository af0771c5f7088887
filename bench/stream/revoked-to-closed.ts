/**
 * From sending a token's revocation to the API until the client of its credential sees its connection closed, through the whole system, in each mode of RabbitMQ. Every client has just connected,
 * published and had it confirmed; revocations fall on every phase of the node's turn. Issue 5: p99 at most 1 s.
 */
import { systemClock } from '../../src/clock.ts';
import { rabbitProgram } from '../../src/dsn/broker/rabbitmq/rabbit-server.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { findHaproxy, haproxyMissing } from './haproxy.ts';
import { percentile } from './percentile.ts';
import { connectAmqp, pause, readyStream, released, wholeSystem } from './whole-system.ts';

const MODES = [
  ['l7', 'deleria-rabbitmq'],
  ['direct', 'rabbitmq-dedicated'],
  ['l4', 'deleria-routed'],
] as const;
type Mode = (typeof MODES)[number][0];

const REVOCATIONS = Number(process.env['BENCH_REVOCATIONS'] ?? 100);
/** Longer than a turn of the node's long poll. */
const SPREAD_MS = 1100;

async function run(context: BenchContext, mode: Mode, template: string): Promise<FigureOutcome> {
  if (rabbitProgram() === undefined)
    return { kind: 'skipped', reason: 'apt-get install --no-install-recommends rabbitmq-server' };
  if (mode === 'l4' && findHaproxy() === undefined) return { kind: 'skipped', reason: haproxyMissing };
  const beamway = await wholeSystem(context);
  const { client } = await beamway.mint();
  const id = await readyStream(client, template);
  const admin = beamway.admin();
  const took: number[] = [];
  let cutByNode = 0;
  for (let i = 0; i < REVOCATIONS; i++) {
    const guest = await beamway.mint({ scopes: ['stream:read', 'stream:connect'] });
    const credential = await guest.client.call('stream.credential', { params: { id }, body: { role: 'producer' } });
    const connection = await connectAmqp(credential);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    channel.sendToQueue('frames', Buffer.from(`${i}`));
    await channel.waitForConfirms();
    const closed = new Promise<number>((resolve) => {
      connection.on('close', (cause?: Error) => {
        if (/revoked/.test(cause?.message ?? '')) cutByNode += 1;
        resolve(systemClock.monotonic());
      });
    });
    await pause(Math.random() * SPREAD_MS);
    const sentMs = systemClock.monotonic();
    await admin.call('token.revoke', { params: { id: guest.id } });
    took.push((await closed) - sentMs);
    if ((i + 1) % 25 === 0) context.log(`  ${i + 1} of ${REVOCATIONS} revocations`);
  }
  await released(client, id);
  const ms = (part: number): number => Number(percentile(took, part).toFixed(1));
  return {
    kind: 'measured',
    result: {
      figure: `revoked-to-closed-${mode}`,
      value: ms(0.99),
      unit: 'ms (p99)',
      goal: { max: 1000 },
      rounds: took.length,
      spread: [ms(0), ms(1)],
      detail: { p50Ms: ms(0.5), p99Ms: ms(0.99), maxMs: ms(1), toldWhy: cutByNode },
    },
  };
}

export const figures: readonly BenchFigure[] = MODES.map(([mode, template]) => ({
  name: `revoked-to-closed-${mode}`,
  group: 'stream',
  title: `from the revocation of a token to the closed connection of its credential, mode ${mode}`,
  run: (context) => run(context, mode, template),
}));
