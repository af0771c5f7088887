/** The door of the room `dsn/zmtp`: ZeroMQ's wire protocol, ZMTP 3.1, as pure functions and small machines. */
export {
  answerPing,
  encodeCommand,
  encodeError,
  encodeHello,
  encodeMetadata,
  readCommand,
  readHello,
  readMetadata,
} from './command.ts';
export { encodeFrame, encodeMessage, FLAG_COMMAND, FLAG_LONG, FLAG_MORE, headerBytes, writeHeader } from './frame.ts';
export { encodeGreeting, GREETING_BYTES, type Mechanism, readGreeting } from './greeting.ts';
export {
  createHandshake,
  type Handshake,
  type HandshakeStep,
  type PeerTerms,
  type PeerVerdict,
} from './handshake.ts';
export { MAX_SMALL_BODY_BYTES, readSmallFrames, type SmallFrame } from './read-frames.ts';
export { type FrameLimits, type FrameScanner, type FrameSink, scanFrames } from './scan-frames.ts';
