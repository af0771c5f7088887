/**
 * One connection from its first octet to its end: handshake against the clock, then a producer or a consumer.
 * State: the stage it is in. Every way out goes through `close`, which ends timers, returns slabs and tells the hub.
 */
import { systemClock } from '../../../clock.ts';
import type { InPlaceReader, MeasuredSocket } from '../../sockets/adopt-socket.ts';
import {
  answerPing,
  createHandshake,
  type Handshake,
  type HandshakeStep,
  type PeerVerdict,
  readCommand,
  readSmallFrames,
} from '../../zmtp/index.ts';
import type { Hub, Inlet } from './hub.ts';
import type { ConnectionCounters, RelayRole } from './options.ts';
import { type ProducerReader, readProducer } from './read-producer.ts';
import { type ConsumerWriter, writeConsumer } from './write-consumer.ts';

/** What a connection is admitted as. */
export interface Grant {
  readonly role: RelayRole;
  readonly credentialId: string;
}

export interface ConnectionOptions {
  readonly hub: Hub;
  readonly id: number;
  readonly mechanism: 'NULL' | 'PLAIN';
  readonly judge: (remoteAddress: string, username: string, password: string) => PeerVerdict<Grant>;
  readonly openSocket: (reader: InPlaceReader) => MeasuredSocket;
  /** Only for connections outwards: the address is known before the socket is connected. */
  readonly remoteAddress?: string;
  readonly onClosed: (connection: Connection, established: boolean) => void;
}

export interface Connection {
  readonly id: number;
  readonly remoteAddress: string;
  /** Undefined until the handshake is done. */
  grant(): Grant | undefined;
  counters(): ConnectionCounters | undefined;
  producer(): ProducerReader | undefined;
  consumer(): ConsumerWriter | undefined;
  /** Ends it now. */
  close(reason: string): void;
  /** Says to a consumer that nothing more will come; it closes when it has read everything. */
  finish(reason: string): void;
}

/** For the handshake and for what consumers send: small frames only. */
const SMALL_READ_BYTES = 4096;
/** How long a refused peer may take to read why, before its socket is closed. */
const LAST_WORD_MS = 500;

type Stage =
  | { readonly kind: 'handshake'; readonly handshake: Handshake<Grant> }
  | { readonly kind: 'producer'; readonly reader: ProducerReader; readonly inlet: Inlet }
  | { readonly kind: 'consumer'; readonly writer: ConsumerWriter }
  | { readonly kind: 'ended' };

export function serveConnection(options: ConnectionOptions): Connection {
  const { hub, id } = options;
  const clock = hub.options.clock ?? systemClock;
  const small = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
  let smallFill = 0;
  let grant: Grant | undefined;
  let pings = false;
  let connectedAtMs = clock.now();
  let endReason: string | undefined;
  let opened = false;
  let judgeAs = options.remoteAddress ?? '';

  let stage: Stage = {
    kind: 'handshake',
    handshake: createHandshake<Grant>({
      mechanism: options.mechanism,
      judge: (username, password) => options.judge(judgeAs, username, password),
    }),
  };

  const reader: InPlaceReader = {
    region: () => (stage.kind === 'producer' ? stage.reader.region() : small.subarray(smallFill)),
    filled(count) {
      if (stage.kind === 'producer') return stage.reader.filled(count);
      if (stage.kind === 'ended') return true;
      if (stage.kind === 'handshake') return onHandshake(stage.handshake.feed(Buffer.from(small.subarray(0, count))));
      smallFill += count;
      return onSmallFrames(stage.writer);
    },
  };

  const socket = options.openSocket(reader);
  const remoteAddress = options.remoteAddress ?? socket.remoteAddress ?? 'unknown';
  judgeAs = remoteAddress;

  const close = (reason: string): void => {
    endReason ??= reason;
    socket.destroy();
  };

  const refuse = (reason: string): void => {
    if (stage.kind === 'ended') return;
    stage = { kind: 'ended' };
    endReason = reason;
    hub.tally.refused += 1;
    hub.emit({ kind: 'refused', remoteAddress, reason });
  };

  let stopTimer = clock.after(hub.options.handshakeTimeoutMs, () => {
    const waitingFor = stage.kind === 'handshake' ? stage.handshake.awaiting() : 'the peer to close';
    refuse(`handshake not finished in ${hub.options.handshakeTimeoutMs} ms (waiting for ${waitingFor})`);
    socket.destroy();
  });

  const onHandshake = (step: HandshakeStep<Grant>): boolean => {
    if (step.send.length > 0) socket.write(Buffer.concat(step.send));
    if (step.kind === 'more') return true;
    stopTimer();
    if (step.kind === 'ready') return onReady(step);
    refuse(step.reason);
    if (step.send.length === 0) {
      socket.destroy();
      return false;
    }
    // The ERROR must reach the peer: closing with unread octets would reset the connection and discard it.
    stopTimer = clock.after(LAST_WORD_MS, () => socket.destroy());
    socket.end();
    return true;
  };

  const onReady = (step: Extract<HandshakeStep<Grant>, { kind: 'ready' }>): boolean => {
    grant = step.grant;
    connectedAtMs = clock.now();
    const { role, credentialId } = step.grant;
    hub.emit({ kind: 'connected', connectionId: id, role, credentialId, remoteAddress, socketType: step.socketType });
    // The listener may have closed us, for instance because the credential is already withdrawn.
    if (socket.destroyed) return false;
    return role === 'producer' ? beProducer(step.rest) : beConsumer(step.rest);
  };

  const beProducer = (rest: Buffer): boolean => {
    const producer = readProducer(hub, { onCommand, onViolation: close });
    const inlet: Inlet = {
      waiting: producer.waiting,
      wake: () => {
        if (producer.goOn()) socket.resume();
      },
      hold: () => {
        if (producer.hold()) socket.pause();
      },
      sayAlive: () => {
        if (pings) answer(UNASKED_PONG);
      },
    };
    stage = { kind: 'producer', reader: producer, inlet };
    hub.inlets.add(inlet);
    return producer.start(rest);
  };

  const beConsumer = (rest: Buffer): boolean => {
    const writer = writeConsumer(hub, socket);
    stage = { kind: 'consumer', writer };
    smallFill = rest.copy(small, 0);
    hub.outlets.add(writer);
    const goOn = onSmallFrames(writer);
    hub.pump();
    return goOn;
  };

  const onSmallFrames = (writer: ConsumerWriter): boolean => {
    const read = readSmallFrames(small, 0, smallFill);
    let violation = read.violation;
    for (const frame of read.frames) {
      if (frame.command) onCommand(frame.body);
      else violation ??= writer.onFrame(frame);
    }
    small.copyWithin(0, read.end, smallFill);
    smallFill -= read.end;
    if (violation !== undefined) {
      close(violation);
      return false;
    }
    if (read.frames.length > 0) {
      hub.pump();
      hub.wake();
    }
    return true;
  };

  /** Not behind unsent octets: those say as much, and a peer that only pings and never reads would fill our memory. */
  const answer = (pong: Buffer): void => {
    if (!socket.destroyed && socket.writableLength === 0) socket.write(pong);
  };

  const onCommand = (body: Buffer): void => {
    const command = readCommand(body);
    const pong = command?.name === 'PING' ? answerPing(command.data) : undefined;
    if (command === undefined) close('malformed command');
    else if (command.name === 'ERROR') close('the peer sent ERROR');
    else if (pong !== undefined) {
      pings = true;
      answer(pong);
    } else if (command.name === 'PING') close('malformed PING');
  };

  const connection: Connection = {
    id,
    remoteAddress,
    grant: () => grant,
    producer: () => (stage.kind === 'producer' ? stage.reader : undefined),
    consumer: () => (stage.kind === 'consumer' ? stage.writer : undefined),
    counters() {
      if (grant === undefined || stage.kind === 'handshake' || stage.kind === 'ended') return undefined;
      const flow = stage.kind === 'producer' ? stage.reader : stage.writer;
      return { id, ...grant, remoteAddress, messages: flow.messages(), bytes: flow.bytes(), connectedAtMs };
    },
    close,
    finish(reason) {
      endReason ??= reason;
      socket.end();
    },
  };

  const onClose = (): void => {
    stopTimer();
    const last = stage;
    // A consumer that does not listen yet is not a refusal; the relay tries again.
    if (last.kind === 'handshake' && opened)
      refuse(endReason ?? `closed by the peer (waiting for ${last.handshake.awaiting()})`);
    stage = { kind: 'ended' };
    if (grant !== undefined && (last.kind === 'producer' || last.kind === 'consumer')) {
      const end = { requeued: 0, lostInSocket: 0, ...leave(last) };
      const flow = last.kind === 'producer' ? last.reader : last.writer;
      const counts = { messages: flow.messages(), bytes: flow.bytes(), ...end };
      const reason = endReason ?? 'closed by the peer';
      hub.emit({ kind: 'disconnected', connectionId: id, ...grant, remoteAddress, reason, ...counts });
    }
    options.onClosed(connection, grant !== undefined);
    hub.pump();
    hub.wake();
  };

  const leave = (
    last: Extract<Stage, { kind: 'producer' | 'consumer' }>,
  ): Partial<{ requeued: number; lostInSocket: number }> => {
    if (last.kind === 'producer') {
      hub.inlets.delete(last.inlet);
      last.reader.end();
      return {};
    }
    hub.outlets.delete(last.writer);
    return last.writer.end();
  };

  socket.on('error', (error: NodeJS.ErrnoException) => {
    endReason ??= error.code ?? error.message;
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', onClose);
  const onOpen = (): void => {
    opened = true;
    socket.write(openingOf(stage));
  };
  if (socket.connecting) socket.on('connect', onOpen);
  else onOpen();
  return connection;
}

const UNASKED_PONG = answerPing(Buffer.alloc(2)) ?? Buffer.alloc(0);

function openingOf(stage: Stage): Buffer {
  return stage.kind === 'handshake' ? stage.handshake.opening : Buffer.alloc(0);
}
