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
  /** False: these octets are not to be passed on, and nothing more is. */
  readonly inspect?: (octets: Uint8Array) => boolean;
}

export interface Splice extends InPlaceReader {
  /** Passes what came before, and from now on what comes. Until then octets are kept: a plain reader hands on the rest of its chunk though it was told to stop. */
  begin(before: Uint8Array): void;
  bytes(): number;
  /** Gives the slab back. */
  end(): void;
}

/** Of what the target has not taken; then the source waits. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Less room than this at a slab's end is not read into. */
const LEAST_READ_BYTES = 16 * 1024;

export function splice({ pool, target, resume, inspect }: SpliceOptions): Splice {
  let slab: Slab | undefined;
  let fill = 0;
  let bytes = 0;
  let ended = false;
  let busy = false;
  let waiting = false;
  let begun = false;
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
    bytes += octets.length;
    if (inspect?.(octets) === false) {
      pool.release(from);
      return false;
    }
    target.write(octets, () => pool.release(from));
    return true;
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
      if (ended || from === undefined) return false;
      const octets = from.bytes.subarray(fill, fill + count);
      // A source that fills what it is given gets larger slabs.
      busy = count >= LEAST_READ_BYTES * 2;
      fill += count;
      pool.hold(from);
      if (begun) return pass(from, octets) && goOn();
      kept.push({ from, octets });
      return false;
    },
    begin(before) {
      if (ended || begun) return;
      begun = true;
      bytes += before.length;
      if (inspect?.(before) === false) return;
      if (before.length > 0) target.write(Uint8Array.from(before), () => undefined);
      for (let next = kept.shift(); next !== undefined; next = kept.shift()) if (!pass(next.from, next.octets)) return;
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
