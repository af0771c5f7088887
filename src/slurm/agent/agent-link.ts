/**
 * The agent's end of the link, outward only: one WebSocket to each replica of the control plane that link.json names, dialled again for as long as it takes. Hands what is
 * asked to `serve` and sends back what comes of it. An answer whose link died is lost: who asked asks again. RFD 4.
 */
import type { Clock } from '../../clock.ts';
import {
  ACTS,
  type ActName,
  type AskFrame,
  controlFrameSchema,
  LONGEST_FRAME_BYTES,
  SlurmFailure,
} from '../contract/index.ts';
import { type Dialler, dialler } from './dial.ts';
import { readLinkFile } from './link-file.ts';

/** Which replica asks. */
export interface AskedBy {
  readonly url: string;
}

export interface AgentLinkOptions {
  readonly linkFile: string;
  readonly cluster: string;
  /** Changes whenever the agent's record versions begin anew. */
  readonly instance: string;
  readonly version: () => number;
  /** `input` has passed the act's schema. What it throws is sent as a failure; what is no SlurmFailure is logged and sent as `unavailable`. */
  readonly serve: (act: ActName, input: unknown, from: AskedBy) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

export interface RunningAgentLink {
  /** Records changed: says so on every link. Cheap to call often. */
  changed(): void;
  /** How many links are up. */
  links(): number;
  /** Says goodbye and dials no more; resolves a second later at the latest. */
  stop(): Promise<void>;
}

const MOST_AT_ONCE = 256;
/** The file is looked at for replicas that came and went, beside before each dial. */
const LOOK_MS = 5000;

export function openAgentLink(options: AgentLinkOptions): RunningAgentLink {
  const { clock, log, instance } = options;
  const dials = new Map<string, Dialler>();
  let underWay = 0;
  let stopped = false;
  let saying = false;
  let stopLook = (): void => undefined;

  const news = (): string => JSON.stringify({ instance, version: options.version() });
  const answer = async (asked: AskFrame, from: AskedBy): Promise<string> => {
    const { ask: number, act, input } = asked;
    try {
      if (underWay >= MOST_AT_ONCE)
        throw new SlurmFailure({
          kind: 'unavailable',
          message: `the agent does ${MOST_AT_ONCE} things at once already`,
        });
      underWay += 1;
      try {
        const text = JSON.stringify({ answer: number, output: await options.serve(...readAsk(act, input), from) });
        if (text.length <= LONGEST_FRAME_BYTES) return text;
        throw new SlurmFailure({ kind: 'unavailable', message: `the answer to ${act} is too long for a frame` });
      } finally {
        underWay -= 1;
      }
    } catch (cause) {
      return JSON.stringify({ answer: number, failure: failureOf(log, act, cause) });
    }
  };
  const hear = (from: AskedBy, text: string, reply: (text: string) => void): boolean => {
    const frame = readControlFrame(text);
    if (frame === undefined) return false;
    if ('ask' in frame) void answer(frame, from).then(reply);
    return true;
  };

  const look = (): void => {
    stopLook = clock.after(LOOK_MS, look);
    const file = readLinkFile(options.linkFile, log);
    if (file === undefined) return;
    for (const [url, dial] of dials)
      if (!file.urls.includes(url)) {
        dials.delete(url);
        void dial.stop();
      }
    for (const url of file.urls)
      if (!dials.has(url))
        dials.set(
          url,
          dialler({
            url,
            cluster: options.cluster,
            linkFile: options.linkFile,
            clock,
            log,
            news,
            hear: (text, reply) => hear({ url }, text, reply),
          }),
        );
  };
  look();

  return {
    changed() {
      if (saying || stopped) return;
      saying = true;
      clock.after(0, () => {
        saying = false;
        for (const dial of dials.values()) dial.send(news());
      });
    },
    links: () => [...dials.values()].filter((dial) => dial.isUp()).length,
    async stop() {
      stopped = true;
      stopLook();
      await Promise.all([...dials.values()].map((dial) => dial.stop()));
    },
  };
}

/** Undefined where the text is no frame of a control plane. Never throws. */
export function readControlFrame(text: string) {
  if (text.length > LONGEST_FRAME_BYTES) return undefined;
  try {
    return controlFrameSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function readAsk(act: string, input: unknown): [ActName, unknown] {
  if (!Object.hasOwn(ACTS, act)) throw new SlurmFailure({ kind: 'invalid', message: 'this agent knows no such act' });
  const name = act as ActName;
  const read = ACTS[name].input.safeParse(input);
  if (read.success) return [name, read.data];
  const faults = read.error.issues.slice(0, 5).map((i) => `${i.path.join('.') || act}: ${i.message}`);
  throw new SlurmFailure({ kind: 'invalid', message: faults.join('; ') });
}

function failureOf(log: AgentLinkOptions['log'], act: string, cause: unknown) {
  if (cause instanceof SlurmFailure) {
    const { kind, message, limit, slurmCode } = cause;
    return { kind, message, limit, slurmCode };
  }
  log.warn({ act: act.slice(0, 64), err: cause }, 'an act failed in a way that is not foreseen');
  return { kind: 'unavailable', message: 'the agent failed; its log says why' };
}
