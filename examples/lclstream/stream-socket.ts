// The two ends of a stream as plain ZeroMQ sockets with PLAIN credentials: nothing here knows Beamway.
// A producer is a PUSH. A consumer is a PULL (at-most-once), or a DEALER (redeliver), to which each message comes with a delivery tag
// that is sent back once the message is dealt with; what is not sent back is delivered again to someone else.
// ZeroMQ reconnects by itself and keeps what is queued.
import { Dealer, Pull, Push } from 'zeromq';
import type { StreamAttachment } from './stream-attachment.ts';

export type Producer = {
  /** Resolves when the message is queued in the socket; waits while the queue is full. Parts must not be changed afterwards. */
  readonly send: (parts: readonly (Uint8Array | string)[]) => Promise<void>;
  /** Queued messages still leave, for at most so many milliseconds (10 s unless told); the process does not end before. */
  readonly close: (lingerMs?: number) => void;
};

export type Delivered = {
  readonly parts: readonly Buffer[];
  /** Says that the message is dealt with; nothing at all on an at-most-once stream. */
  readonly finish: () => Promise<void>;
};

export type Consumer = {
  /** null once closed. */
  readonly receive: () => Promise<Delivered | null>;
  readonly close: () => void;
};

/** Time in which queued messages must have left after a close, ms: bounded, so that a vanished relay cannot hold a program for ever. */
const LINGER_MS = 10_000;
/** Messages queued before send() waits. */
const SEND_QUEUE = 8;
/** One message is fetched ahead of the one in work: more would pile up at one worker while another is idle. */
const RECEIVE_QUEUE = 1;
const TAG_BYTES = 12;
const RECONNECT = { reconnectInterval: 100, reconnectMaxInterval: 1000 } as const;

function credentials(stream: StreamAttachment) {
  return { plainUsername: stream.username, plainPassword: stream.password, ...RECONNECT };
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EBADF');
}

export function openProducer(stream: StreamAttachment): Producer {
  const socket = new Push({ ...credentials(stream), sendHighWaterMark: SEND_QUEUE, linger: LINGER_MS });
  socket.connect(stream.endpoint);
  return {
    send: (parts) => socket.send([...parts]),
    close: (lingerMs = LINGER_MS) => {
      socket.linger = lingerMs;
      socket.close();
    },
  };
}

function openPull(stream: StreamAttachment): Consumer {
  const socket = new Pull({ ...credentials(stream), receiveHighWaterMark: RECEIVE_QUEUE, linger: 0 });
  socket.connect(stream.endpoint);
  const finish = async (): Promise<void> => {};
  const receive = async (): Promise<Delivered | null> => ({ parts: await socket.receive(), finish });
  return { receive, close: () => socket.close() };
}

function openDealer(stream: StreamAttachment): Consumer {
  const socket = new Dealer({ ...credentials(stream), receiveHighWaterMark: RECEIVE_QUEUE, linger: LINGER_MS });
  socket.connect(stream.endpoint);
  const receive = async (): Promise<Delivered | null> => {
    const [tag, ...parts] = await socket.receive();
    if (tag?.length !== TAG_BYTES) throw new Error(`delivery tag of ${tag?.length ?? 0} bytes, ${TAG_BYTES} expected`);
    // Copied: the received buffer belongs to a message that may be gone before the tag leaves.
    const back = Buffer.from(tag);
    return { parts, finish: () => socket.send([back]) };
  };
  return { receive, close: () => socket.close() };
}

export function openConsumer(stream: StreamAttachment): Consumer {
  const consumer = stream.delivery === 'redeliver' ? openDealer(stream) : openPull(stream);
  const receive = async (): Promise<Delivered | null> => {
    try {
      return await consumer.receive();
    } catch (error) {
      if (isClosed(error)) return null;
      throw error;
    }
  };
  return { receive, close: consumer.close };
}
