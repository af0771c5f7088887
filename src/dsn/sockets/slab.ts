/**
 * Big reference-counted buffers that sockets read into and messages are slices of. A slab goes back to the pool when the
 * last holder lets go: the reader that fills it, and one hold per piece of a message (twice while written and unacknowledged).
 * Invariant: octets behind a reader's fill mark belong to no message, so a region being read into is never being written out.
 */

/** Two sizes: a quiet producer keeps the small one, a busy one reads into the large one. */
export const SMALL_SLAB_BYTES = 64 * 1024;
export const LARGE_SLAB_BYTES = 1024 * 1024;
/** Free slabs always kept for reuse, bytes. Last in, first out: the slab that is still warm in the cache is taken first. */
const LEAST_RESERVE_BYTES = 8 * 1024 * 1024;

export interface Slab {
  readonly bytes: Buffer;
  holds: number;
}

export interface SlabPool {
  /** A slab with one hold, the caller's. */
  take(large: boolean): Slab;
  hold(slab: Slab): void;
  release(slab: Slab): void;
  /** Bytes of all slabs, in use and in reserve. */
  memoryBytes(): number;
  inUse(): number;
  /** Frees the part of the reserve that nobody needed since the last call, above the least reserve. */
  trim(): void;
  /** Forgets the reserve; slabs released later are not kept. */
  close(): void;
}

/**
 * `mostReserveBytes`: free slabs kept while traffic is heavy. A queue that swings by more than the reserve would have slabs
 * collected and allocated again and again, at the price of page faults and full garbage collections.
 */
export function openSlabPool(mostReserveBytes = LEAST_RESERVE_BYTES): SlabPool {
  const small: Slab[] = [];
  const large: Slab[] = [];
  let usedBytes = 0;
  let usedSlabs = 0;
  let reserveBytes = 0;
  /** The least reserve since the last `trim`: what would not have been missed. */
  let idleBytes = 0;
  let closed = false;
  return {
    take(wantLarge) {
      const size = wantLarge ? LARGE_SLAB_BYTES : SMALL_SLAB_BYTES;
      const free = (wantLarge ? large : small).pop();
      if (free !== undefined) reserveBytes -= size;
      idleBytes = Math.min(idleBytes, reserveBytes);
      const slab = free ?? { bytes: Buffer.allocUnsafeSlow(size), holds: 0 };
      slab.holds = 1;
      usedBytes += size;
      usedSlabs += 1;
      return slab;
    },
    hold(slab) {
      slab.holds += 1;
    },
    release(slab) {
      slab.holds -= 1;
      if (slab.holds > 0) return;
      if (slab.holds < 0) throw new Error('slab released more often than held');
      const size = slab.bytes.length;
      usedBytes -= size;
      usedSlabs -= 1;
      if (closed || reserveBytes + size > Math.max(LEAST_RESERVE_BYTES, mostReserveBytes)) return;
      reserveBytes += size;
      (size === LARGE_SLAB_BYTES ? large : small).push(slab);
    },
    memoryBytes: () => usedBytes + reserveBytes,
    inUse: () => usedSlabs,
    trim() {
      for (let spare = Math.min(idleBytes, reserveBytes - LEAST_RESERVE_BYTES); spare > 0; ) {
        const slab = large.shift() ?? small.shift();
        if (slab === undefined) break;
        spare -= slab.bytes.length;
        reserveBytes -= slab.bytes.length;
      }
      idleBytes = reserveBytes;
    },
    close() {
      closed = true;
      small.length = 0;
      large.length = 0;
      reserveBytes = 0;
    },
  };
}
