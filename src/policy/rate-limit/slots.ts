/**
 * Requests in flight on this replica: caps by holder (a token), by flow (a project) and in all. Where all slots are taken, requests wait, and
 * a slot that comes free goes to the flow that holds the fewest for its weight (max-min fairness), the longest unserved first: who comes
 * with more connections gets no more. State: the slots held and the requests that wait, in this process.
 */
import type { Clock } from '../../clock.ts';

export interface SlotCaps {
  readonly holder: number;
  readonly flow: number;
  readonly all: number;
  /** How long a request waits for a slot; 0: not at all. */
  readonly waitMs: number;
}

export interface SlotClaim {
  readonly holder: string;
  readonly flow: string;
  /** Of this flow, where it is another than the caps say. */
  readonly flowCap?: number | undefined;
  readonly weight?: number | undefined;
}

export interface Slot {
  /** Absent: held already. Resolves to false where no slot came in time, or `leave` was called. */
  readonly ready: Promise<boolean> | undefined;
  /** Gives it back, or stops waiting; safe to repeat. */
  leave(): void;
}

export type SlotRefusal = { readonly refusedBy: 'holder' | 'flow' | 'all'; readonly cap: number };

export interface Slots {
  enter(claim: SlotClaim): Slot | SlotRefusal;
  /** Requests in flight, and of one flow; those that wait not counted. */
  inFlight(flow?: string): number;
  waiting(): number;
}

interface Flow {
  readonly name: string;
  weight: number;
  held: number;
  /** Held and waiting. */
  present: number;
  servedAt: number;
  readonly line: Set<() => void>;
}

export function openSlots(caps: SlotCaps, clock: Clock): Slots {
  const flows = new Map<string, Flow>();
  const holders = new Map<string, number>();
  const lines = new Set<Flow>();
  let held = 0;
  let served = 0;

  function flowOf({ flow: name, weight = 1 }: SlotClaim): Flow {
    const known = flows.get(name);
    if (known !== undefined) {
      known.weight = weight;
      return known;
    }
    const flow: Flow = { name, weight, held: 0, present: 0, servedAt: 0, line: new Set() };
    flows.set(name, flow);
    return flow;
  }

  function hold(flow: Flow): void {
    flow.held += 1;
    flow.servedAt = ++served;
    held += 1;
  }

  function serveNext(): void {
    let best: Flow | undefined;
    for (const flow of lines) if (best === undefined || comesBefore(flow, best)) best = flow;
    const [first] = best?.line ?? [];
    if (best === undefined || first === undefined) return;
    stand(best, first, false);
    first();
  }

  function stand(flow: Flow, turn: () => void, isWaiting: boolean): void {
    if (isWaiting) flow.line.add(turn);
    else flow.line.delete(turn);
    if (flow.line.size > 0) lines.add(flow);
    else lines.delete(flow);
  }

  function depart(claim: SlotClaim, flow: Flow): void {
    flow.present -= 1;
    if (flow.present === 0) flows.delete(flow.name);
    const rest = (holders.get(claim.holder) ?? 1) - 1;
    if (rest === 0) holders.delete(claim.holder);
    else holders.set(claim.holder, rest);
  }

  return {
    enter(claim) {
      const byHolder = holders.get(claim.holder) ?? 0;
      if (byHolder >= caps.holder) return { refusedBy: 'holder', cap: caps.holder };
      const flowCap = claim.flowCap ?? caps.flow;
      const present = flows.get(claim.flow)?.present ?? 0;
      if (present >= flowCap) return { refusedBy: 'flow', cap: flowCap };
      if (held >= caps.all && caps.waitMs === 0) return { refusedBy: 'all', cap: caps.all };
      const flow = flowOf(claim);
      holders.set(claim.holder, byHolder + 1);
      flow.present += 1;
      let state: 'waiting' | 'held' | 'left' = 'held';
      const release = (): void => {
        if (state !== 'held') return;
        state = 'left';
        flow.held -= 1;
        held -= 1;
        depart(claim, flow);
        serveNext();
      };
      if (held < caps.all) {
        hold(flow);
        return { ready: undefined, leave: release };
      }
      state = 'waiting';
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const giveUp = (): void => {
        if (state !== 'waiting') return;
        state = 'left';
        cancel();
        stand(flow, turn, false);
        depart(claim, flow);
        resolve(false);
      };
      const turn = (): void => {
        state = 'held';
        cancel();
        hold(flow);
        resolve(true);
      };
      const cancel = clock.after(caps.waitMs, giveUp);
      stand(flow, turn, true);
      return {
        ready: promise,
        leave() {
          giveUp();
          release();
        },
      };
    },
    inFlight: (flow) => (flow === undefined ? held : (flows.get(flow)?.held ?? 0)),
    waiting: () => [...lines].reduce((sum, flow) => sum + flow.line.size, 0),
  };
}

function comesBefore(a: Flow, b: Flow): boolean {
  const [x, y] = [a.held / a.weight, b.held / b.weight];
  return x === y ? a.servedAt < b.servedAt : x < y;
}
