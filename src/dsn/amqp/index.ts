/** AMQP 0-9-1, as far as a gateway must understand it. */
export {
  closeFrame,
  FRAME,
  FRAME_END,
  FRAME_OVERHEAD,
  type Frame,
  longString,
  METHOD,
  methodFrame,
  methodOf,
  PROTOCOL_HEADER,
  REPLY,
  readFrame,
  readLongString,
  readShortString,
  shortString,
} from './frame.ts';
export { type FrameCounts, type FrameWalker, frameWalker, type Violation } from './walk-frames.ts';
