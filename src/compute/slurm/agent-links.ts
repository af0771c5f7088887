/**
 * Who speaks to which Slurm agent: one link per cluster, on whatever connection its agent dialled last. Owns the asks in flight. Knows no WebSocket: whoever accepts one
 * attaches it as a peer. An ask is never repeated here; one whose connection dies fails at once, and its caller decides. RFD 4.
 */
import type { z } from 'zod';
import type { Clock } from '../../clock.ts';
import {
  ACTS,
  type ActName,
  type ActOutput,
  type AgentFrame,
  agentFrameSchema,
  BEAT_MS,
  LONGEST_FRAME_BYTES,
  SlurmFailure,
  SUPERSEDED,
} from '../../slurm/contract/index.ts';

/** One open connection, as its accepter offers it. `close` may be called at any time, also twice; `onClose` tells of every end, ours too. */
export interface AgentPeer {
  send(text: string): void;
  close(reason: string): void;
  onText(listener: (text: string) => void): void;
  onClose(listener: () => void): void;
}

/** What is asked, before defaults are filled in. */
export type ActQuestion<A extends ActName> = z.input<(typeof ACTS)[A]['input']>;

export interface AgentLink {
  /** An agent is attached now. Says nothing of its Slurm. */
  readonly connected: boolean;
  /** Rejects with SlurmFailure: what the agent says, `invalid` where the input is not the act's, `unavailable` without an agent, in time, or one that can be understood. */
  ask<A extends ActName>(act: A, input: ActQuestion<A>, how?: { readonly timeoutMs?: number }): Promise<ActOutput<A>>;
  /** Called after an agent attached and whenever it says that records changed. Returns the way to stop. */
  onChange(listener: () => void): () => void;
}

export interface AgentLinks {
  /** The newest connection of a cluster wins; the one before it is closed. */
  attach(cluster: string, peer: AgentPeer): void;
  link(cluster: string): AgentLink;
}

export interface AgentLinksDeps {
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

const MOST_IN_FLIGHT = 1000;
const ANSWER_MS = 30_000;

interface Waiting {
  readonly act: ActName;
  readonly resolve: (output: unknown) => void;
  readonly reject: (failure: SlurmFailure) => void;
  readonly stopTimer: () => void;
}

interface Connection {
  readonly peer: AgentPeer;
  readonly waiting: Map<number, Waiting>;
  asked: number;
  stopBeat: () => void;
}

interface Cluster {
  readonly name: string;
  readonly listeners: Set<() => void>;
  now: Connection | undefined;
}

/** Undefined where the text is no frame of an agent. Never throws. */
export function readAgentFrame(text: string): AgentFrame | undefined {
  if (text.length > LONGEST_FRAME_BYTES) return undefined;
  try {
    return agentFrameSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

const away = (message: string): SlurmFailure => new SlurmFailure({ kind: 'unavailable', message });

export function agentLinks(deps: AgentLinksDeps): AgentLinks {
  const clusters = new Map<string, Cluster>();
  const clusterOf = (name: string): Cluster => {
    let cluster = clusters.get(name);
    if (cluster === undefined) {
      cluster = { name, listeners: new Set(), now: undefined };
      clusters.set(name, cluster);
    }
    return cluster;
  };
  return {
    attach: (name, peer) => attach(deps, clusterOf(name), peer),
    link(name) {
      const cluster = clusterOf(name);
      return {
        get connected() {
          return cluster.now !== undefined;
        },
        ask: (act, input, how = {}) => ask(deps, cluster, { act, input, timeoutMs: how.timeoutMs ?? ANSWER_MS }),
        onChange(listener) {
          cluster.listeners.add(listener);
          return () => void cluster.listeners.delete(listener);
        },
      };
    },
  };
}

function attach(deps: AgentLinksDeps, cluster: Cluster, peer: AgentPeer): void {
  const connection: Connection = { peer, waiting: new Map(), asked: 0, stopBeat: () => undefined };
  const before = cluster.now;
  cluster.now = connection;
  peer.onText((text) => {
    if (cluster.now === connection) hear(deps, cluster, connection, text);
  });
  peer.onClose(() => {
    if (cluster.now === connection) {
      cluster.now = undefined;
      deps.log.warn({ cluster: cluster.name }, 'the link of a Slurm agent ended');
    }
    letGo(connection, `the link to the agent of ${cluster.name} ended before its answer`);
  });
  let beats = 0;
  const beat = (): void => {
    connection.stopBeat = deps.clock.after(BEAT_MS, beat);
    beats += 1;
    peer.send(JSON.stringify({ beat: beats }));
  };
  connection.stopBeat = deps.clock.after(BEAT_MS, beat);
  deps.log.info({ cluster: cluster.name, replaces: before !== undefined }, 'a Slurm agent is linked');
  if (before !== undefined) {
    letGo(before, `another connection of the agent of ${cluster.name} took over before its answer`);
    before.peer.close(SUPERSEDED);
  }
  wake(deps, cluster);
}

function letGo(connection: Connection, why: string): void {
  connection.stopBeat();
  const lost = [...connection.waiting.values()];
  connection.waiting.clear();
  for (const { reject, stopTimer } of lost) {
    stopTimer();
    reject(away(why));
  }
}

function wake(deps: AgentLinksDeps, cluster: Cluster): void {
  for (const listener of [...cluster.listeners]) {
    try {
      listener();
    } catch (cause) {
      deps.log.warn({ cluster: cluster.name, err: cause }, 'a listener to a Slurm agent failed');
    }
  }
}

function hear(deps: AgentLinksDeps, cluster: Cluster, connection: Connection, text: string): void {
  const frame = readAgentFrame(text);
  // A number that nobody asked by: this is no agent of ours.
  if (frame === undefined || ('answer' in frame && (frame.answer < 1 || frame.answer > connection.asked))) {
    deps.log.warn({ cluster: cluster.name }, 'a Slurm agent sent what is no frame; its link is closed');
    connection.peer.close('not a frame');
    return;
  }
  if ('version' in frame) {
    wake(deps, cluster);
    return;
  }
  const waiting = connection.waiting.get(frame.answer);
  if (waiting === undefined) return; // answered after its time
  connection.waiting.delete(frame.answer);
  waiting.stopTimer();
  if ('failure' in frame) {
    waiting.reject(new SlurmFailure(frame.failure));
    return;
  }
  const output = ACTS[waiting.act].output.safeParse(frame.output);
  if (output.success) {
    waiting.resolve(output.data);
    return;
  }
  deps.log.warn(
    { cluster: cluster.name, act: waiting.act, err: output.error },
    'a Slurm agent’s answer has another shape',
  );
  waiting.reject(
    away(`the agent of ${cluster.name} answered ${waiting.act} in a shape that is not ours: is it of another version?`),
  );
}

function ask<A extends ActName>(
  deps: AgentLinksDeps,
  cluster: Cluster,
  wish: { readonly act: A; readonly input: unknown; readonly timeoutMs: number },
): Promise<ActOutput<A>> {
  const { act, timeoutMs } = wish;
  const input = ACTS[act].input.safeParse(wish.input);
  if (!input.success) {
    const faults = input.error.issues.map((i) => `${i.path.join('.') || act}: ${i.message}`);
    return Promise.reject(new SlurmFailure({ kind: 'invalid', message: faults.slice(0, 5).join('; ') }));
  }
  const connection = cluster.now;
  if (connection === undefined) return Promise.reject(away(`the agent of ${cluster.name} is not linked`));
  if (connection.waiting.size >= MOST_IN_FLIGHT)
    return Promise.reject(away(`${MOST_IN_FLIGHT} questions to the agent of ${cluster.name} wait for their answers`));
  return new Promise((resolve, reject) => {
    connection.asked += 1;
    const number = connection.asked;
    const stopTimer = deps.clock.after(timeoutMs, () => {
      connection.waiting.delete(number);
      reject(away(`the agent of ${cluster.name} did not answer ${act} within ${timeoutMs / 1000} s`));
    });
    connection.waiting.set(number, {
      act,
      resolve: (output) => resolve(output as ActOutput<A>),
      reject,
      stopTimer,
    });
    connection.peer.send(JSON.stringify({ ask: number, act, input: input.data }));
  });
}
