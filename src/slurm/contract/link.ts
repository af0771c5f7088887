/** Frames on the agent's WebSocket, one JSON document each. The control plane asks; the agent answers by number, and says when records changed. */
import { z } from 'zod';
import { failureSchema } from './failure.ts';

export const askFrameSchema = z.strictObject({ ask: z.int(), act: z.string(), input: z.unknown() });
/** `beat`: sent every BEAT_MS and answered by nothing, so that the agent notices a control plane that went away without a word. */
export const controlFrameSchema = z.union([askFrameSchema, z.strictObject({ beat: z.int() })]);
export const agentFrameSchema = z.union([
  z.strictObject({ answer: z.int(), output: z.unknown() }),
  z.strictObject({ answer: z.int(), failure: failureSchema }),
  /** First frame, and after each change of records: a wake-up only. */
  z.strictObject({ instance: z.string(), version: z.int() }),
]);

export type AskFrame = z.output<typeof askFrameSchema>;
export type ControlFrame = z.output<typeof controlFrameSchema>;
export type AgentFrame = z.output<typeof agentFrameSchema>;
export const LONGEST_FRAME_BYTES = 64 * 1024 * 1024;
export const BEAT_MS = 10_000;
/** Nothing heard for so long: the other end is gone. */
export const SILENT_MS = 25_000;
/** Close reason: a newer connection of the same cluster's agent took this one's place. */
export const SUPERSEDED = 'superseded by a newer connection of this agent';

/**
 * Text frames on a terminal's WebSocket; its bytes are binary frames. To the job: the size, and whether whoever looks can take more; from it: how it ended. The socket itself is
 * read all the time, so that a terminal that stands still is not taken for a dead one.
 */
export const terminalFrameSchema = z.union([
  z.strictObject({ flow: z.enum(['pause', 'resume']) }),
  z.strictObject({ columns: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) }),
  z.strictObject({ exit: z.int() }),
]);

export type TerminalFrame = z.output<typeof terminalFrameSchema>;

/** Undefined for what is no such frame. Never throws. */
export function readTerminalFrame(text: string): TerminalFrame | undefined {
  if (text.length > 256) return undefined;
  try {
    return terminalFrameSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
/** A binary frame on a terminal's WebSocket is at most so long. */
export const TERMINAL_FRAME_BYTES = 256 * 1024;
