/** Room at a port whose connections are bounded: who only connects must keep nobody out, so the oldest that has not yet said who it is makes room for the next. Pure but for `drop`. */

export interface RoomOptions<Peer> {
  readonly most: number;
  /** All that are there, oldest first. */
  readonly peers: () => Iterable<Peer>;
  /** It has said who it is and was let in, or is the port's own: it is never dropped. */
  readonly isKnown: (peer: Peer) => boolean;
  readonly drop: (peer: Peer, reason: string) => void;
}

export interface Room<Peer> {
  /** False: all that are there are known. */
  make(): boolean;
  /** Its socket is closed. */
  gone(peer: Peer): void;
}

const REASON = 'another connection came before it had said who it is';

export function roomForMore<Peer>({ most, peers, isKnown, drop }: RoomOptions<Peer>): Room<Peer> {
  /** Dropped, and their sockets not closed yet. */
  const leaving = new Set<Peer>();
  return {
    make() {
      const staying = [...peers()].filter((peer) => !leaving.has(peer));
      if (staying.length < most) return true;
      const oldest = staying.find((peer) => !isKnown(peer));
      if (oldest === undefined) return false;
      leaving.add(oldest);
      drop(oldest, REASON);
      return true;
    },
    gone: (peer) => void leaving.delete(peer),
  };
}
