/** A way through a RabbitMQ stream: its queue `frames`, and queues of the bench's own where there are to be more. Owns its connections. */
import { type Credential, type LoadPath, type PathTerms, wordsOf } from './load-path.ts';

/** Acknowledged in lots, but for what came last, which waits no longer than this. */
const IDLE_ACK_MS = 5;

export async function rabbitmqPath(terms: PathTerms): Promise<LoadPath> {
  const { connect: amqpConnect } = (await import('amqplib')).default;
  const leaving = new Set<object>();
  const connect = async ({ endpoint, username, password, authority }: Credential) => {
    const at = new URL(endpoint);
    const vhost = decodeURIComponent(at.pathname.slice(1)) || '/';
    const hostname = at.hostname.replace(/^\[|\]$/g, '');
    const to = { protocol: at.protocol.slice(0, -1), hostname, port: Number(at.port), username, password, vhost };
    const connection = await amqpConnect(to, authority ? { ca: [authority], noDelay: true } : { noDelay: true });
    connection.on('error', (cause: Error) => leaving.has(connection) || terms.onFault(cause.message));
    connection.on(
      'close',
      () => leaving.has(connection) || terms.onFault('the connection was closed by the other end'),
    );
    return connection;
  };
  const tidy = await connect(terms.consumer);
  const own = await tidy.createChannel();
  own.on('error', (cause: Error) => terms.onFault(cause.message));
  const made = terms.back
    ? ['beamway-bench-back']
    : Array.from({ length: terms.queues - 1 }, (_, i) => `beamway-bench-${i + 1}`);
  for (const queue of made) {
    await own.assertQueue(queue, { durable: true });
    await own.purgeQueue(queue);
  }
  const queues = terms.back ? made : ['frames', ...made];
  return {
    confirms: terms.confirms,
    async producer(index) {
      const connection = await connect(terms.producer);
      const queue = queues[index % queues.length] ?? 'frames';
      const channel = terms.confirms ? await connection.createConfirmChannel() : await connection.createChannel();
      let full: Promise<void> | undefined;
      const put = (message: Buffer, told?: (refused: unknown) => void): void => {
        const room = told
          ? channel.publish('', queue, message, {}, told as never)
          : channel.publish('', queue, message, {});
        if (!room)
          full ??= new Promise((resolve) =>
            channel.once('drain', () => {
              full = undefined;
              resolve();
            }),
          );
      };
      channel.on('error', (cause: Error) => terms.onFault(cause.message));
      return {
        async put(message) {
          if (!terms.confirms) {
            put(message);
            return true;
          }
          // A nack and a channel that has ended look alike here: of the second the channel itself tells.
          return new Promise((resolve) =>
            put(message, (refused) => resolve(refused === null || refused === undefined)),
          );
        },
        room: () => full,
        async close() {
          await channel.close();
          leaving.add(connection);
          await connection.close();
        },
      };
    },
    async consumer(index, on) {
      const connection = await connect(terms.consumer);
      const channel = await connection.createChannel();
      channel.on('error', (cause: Error) => terms.onFault(cause.message));
      await channel.prefetch(terms.prefetch);
      const lot = Math.max(1, Math.floor(terms.prefetch / 4));
      let held: Parameters<typeof channel.ack>[0] | undefined;
      let count = 0;
      let timer: NodeJS.Timeout | undefined;
      const ack = (): void => {
        clearTimeout(timer);
        timer = undefined;
        count = 0;
        if (held !== undefined) channel.ack(held, true);
        held = undefined;
      };
      // Every queue has a consumer: where there are fewer consumers than queues, one takes from several.
      const mine = queues.filter((_, q) => q % terms.consumers === index || q === index % queues.length);
      for (const queue of mine)
        await channel.consume(queue, (message) => {
          if (message === null) return terms.onFault(`the queue ${queue} was deleted`);
          on(message.content);
          held = message;
          count += 1;
          if (count >= lot) ack();
          else timer ??= setTimeout(ack, IDLE_ACK_MS);
        });
      return {
        async close() {
          ack();
          await channel.close();
          leaving.add(connection);
          await connection.close();
        },
      };
    },
    async close() {
      for (const queue of made) await own.deleteQueue(queue).catch((cause: unknown) => void wordsOf(cause));
      leaving.add(tidy);
      await tidy.close().catch(() => undefined);
    },
  };
}
