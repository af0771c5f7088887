/** How much producers have put into a stream over its whole life, and its quotas. Counts go on where an earlier run of the agent left them. Pure. */

/** What a node remembers of a stream, over its own restarts too. */
export interface Usage {
  /** Octets from producers, as they come on the wire. */
  readonly bytes: number;
  readonly messages: number;
}

/** Totals over a stream's life; 0: none. */
export interface Quotas {
  readonly byteQuota: number;
  readonly messageQuota: number;
}

export interface QuotaMeter {
  /** What may still be put in; infinite where there is no quota. */
  room(): Usage;
  add(bytes: number, messages: number): void;
  /** Something was not taken, as it would have gone beyond. */
  exceed(what: keyof Usage): void;
  usage(): Usage;
  /** Which quota is used up, in words that producers are told; empty: none. */
  reached(): string;
}

/** `quotas` is asked each time, as a lease may change. */
export function quotaMeter(quotas: () => Quotas, before: Usage = { bytes: 0, messages: 0 }): QuotaMeter {
  let { bytes, messages } = before;
  /** The byte quota that a message did not fit into any more, though something was left of it. */
  let tooSmall = 0;
  const left = (quota: number, used: number): number =>
    quota === 0 ? Number.POSITIVE_INFINITY : Math.max(0, quota - used);
  return {
    room() {
      const { byteQuota, messageQuota } = quotas();
      return { bytes: left(byteQuota, bytes), messages: left(messageQuota, messages) };
    },
    add(moreBytes, moreMessages) {
      bytes += moreBytes;
      messages += moreMessages;
    },
    exceed(what) {
      if (what === 'bytes') tooSmall = quotas().byteQuota;
    },
    usage: () => ({ bytes, messages }),
    reached() {
      const { byteQuota, messageQuota } = quotas();
      if (byteQuota > 0 && (bytes >= byteQuota || tooSmall === byteQuota))
        return `the stream's byteQuota of ${byteQuota} is used up`;
      if (messageQuota > 0 && messages >= messageQuota)
        return `the stream's messageQuota of ${messageQuota} is used up`;
      return '';
    },
  };
}
