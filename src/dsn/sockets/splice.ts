/**
 * Passes octets from one socket to another: read into slabs, written from them, never copied. Reading stops while the other end has not taken what it was given. `inspect` sees
 * every octet before it is passed on. Owns the slab it reads into.
 */
import type { InPlaceReader } from './adopt-socket.ts';
import type { Slab, SlabPool } from './slab.ts';

/** The socket written to. */
export interface SpliceTarget {
  readonly writableLength: number;
  readonly destroyed: boolean;
  write(octets: Uint8Array, written: () => void): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface SpliceOptions {
  readonly pool: SlabPool;
  readonly target: SpliceTarget;
  /** Reads go on: the source may be read again. */
  readonly resume: () => void;
  /** How many of these octets are passed on; fewer than all of them: nothing more is, ever. */
  readonly inspect?: (octets: Uint8Array) => number;
  /** While it is stopped: at least so many octets are still to be passed; 0: none. Left out: none. */
  readonly missing?: () => number;
}

export interface Splice extends InPlaceReader {
  /** Passes what came before, and from now on what comes. Until then octets are kept: a plain reader hands on the rest of its chunk though it was told to stop. */
  begin(before: Uint8Array): void;
  /** Passes nothing more than `missing`; what comes is kept. */
  stop(): void;
  /** Passes what was kept, and what comes. */
  go(): void;
  bytes(): number;
  /** Gives the slab back. */
  end(): void;
}

/** Of what the target has not taken; then the source waits. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Less room than this at a slab's end is not read into. */
const LEAST_READ_BYTES = 16 * 1024;

export function splice({ pool, target, resume, inspect, missing }: SpliceOptions): Splice {
  let slab: Slab | undefined;
  let fill = 0;
  let bytes = 0;
  let ended = false;
  let busy = false;
  let waiting = false;
  let begun = false;
  let shut = false;
  let stopped = false;
  const kept: { readonly from: Slab; readonly octets: Uint8Array }[] = [];

  const goOn = (): boolean => {
    if (target.destroyed || target.writableLength <= HIGH_WATER_BYTES) return true;
    if (!waiting) {
      waiting = true;
      target.once('drain', () => {
        waiting = false;
        if (!ended) resume();
      });
    }
    return false;
  };
  /** With a hold of `from`, which it lets go. */
  const pass = (from: Slab, octets: Uint8Array): boolean => {
    const passed = inspect?.(octets) ?? octets.length;
    bytes += passed;
    if (passed < octets.length) shut = true;
    if (passed === 0) pool.release(from);
    else target.write(passed < octets.length ? octets.subarray(0, passed) : octets, () => pool.release(from));
    return !shut;
  };
  /** Of what is kept, as much as may pass. */
  const passKept = (): void => {
    for (let next = kept[0]; next !== undefined && !shut; next = kept[0]) {
      const { from, octets } = next;
      const most = stopped ? (missing?.() ?? 0) : octets.length;
      if (most === 0) return;
      if (most < octets.length) {
        kept[0] = { from, octets: octets.subarray(most) };
        pool.hold(from);
      } else kept.shift();
      pass(from, octets.subarray(0, most));
    }
  };
  return {
    region() {
      if (slab !== undefined && slab.bytes.length - fill >= LEAST_READ_BYTES) return slab.bytes.subarray(fill);
      if (slab !== undefined) pool.release(slab);
      slab = pool.take(busy);
      fill = 0;
      return slab.bytes;
    },
    filled(count) {
      const from = slab;
      if (ended || shut || from === undefined) return false;
      const octets = from.bytes.subarray(fill, fill + count);
      // A source that fills what it is given gets larger slabs.
      busy = count >= LEAST_READ_BYTES * 2;
      fill += count;
      pool.hold(from);
      if (begun && !stopped && kept.length === 0) return pass(from, octets) && goOn();
      kept.push({ from, octets });
      if (!begun) return false;
      passKept();
      return kept.length === 0 && !shut && (!stopped || (missing?.() ?? 0) > 0) && goOn();
    },
    begin(before) {
      if (ended || begun) return;
      begun = true;
      const passed = inspect?.(before) ?? before.length;
      bytes += passed;
      shut = passed < before.length;
      if (passed > 0) target.write(Uint8Array.from(before.subarray(0, passed)), () => undefined);
      passKept();
    },
    stop() {
      stopped = true;
    },
    go() {
      stopped = false;
      if (begun && !ended) passKept();
    },
    bytes: () => bytes,
    end() {
      if (ended) return;
      ended = true;
      for (const { from } of kept.splice(0)) pool.release(from);
      if (slab !== undefined) pool.release(slab);
      slab = undefined;
    },
  };
}
