/** What a gateway must know of the protocol it stands before: the first words on both sides, the walk over what follows, and the last word. Pure but for `judge`; no socket here. */

export interface Grant {
  readonly role: 'producer' | 'consumer';
  readonly credentialId: string;
}

export type Judgement = { readonly ok: true; readonly grant: Grant } | { readonly ok: false; readonly reason: string };
export type Judge = (username: string, password: string) => Judgement;

/** Where the broker is, and as whom a connection logs in there. */
export interface Upstream {
  readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly username: string;
  readonly password: string;
}

export interface Step {
  readonly toClient?: Uint8Array | string;
  readonly toBroker?: Uint8Array | string;
  readonly next: /** Goes on. */
    | { readonly kind: 'more' }
    /** The client is let in: the broker is to be asked now, as `login`. */
    | { readonly kind: 'join'; readonly grant: Grant; readonly login: Upstream }
    /** The broker has taken it: from now on octets pass. `up`, `down`: what came behind the handshake on each side and is passed first. */
    | { readonly kind: 'joined'; readonly up: Uint8Array; readonly down: Uint8Array }
    /** `toClient` is the last it hears. */
    | { readonly kind: 'refused'; readonly reason: string };
  /** What the client sends from now on is for the broker, and waits until it is joined. */
  readonly hold?: boolean;
}

export interface Handshake {
  fromClient(octets: Buffer): Step;
  /** The connection to the broker stands. */
  brokerUp(): Step;
  fromBroker(octets: Buffer): Step;
  /** What a client is told, once let in, where the broker is not there or does not take us. */
  brokerAway(): Uint8Array | string;
}

/** Walks what a known client sends. */
export interface UpWalk {
  /** What is wrong, and what the client is told of it; undefined: nothing. `room`: so many messages may still come; of one more, how many of the octets stand before it. */
  walk(
    octets: Uint8Array,
    room: number,
  ): { readonly reason: string; readonly say: Uint8Array | string } | { readonly before: number } | undefined;
  messages(): number;
  /** At least so many octets until reading may stop; 0: it may stop here. */
  missing(): number;
  /** Put in without asking for a confirm, where the protocol has such a thing. */
  unconfirmed?(): number;
}

/** Said to the broker for a client that is not read meanwhile. */
export interface Heartbeat {
  readonly octets: Uint8Array;
  readonly everyMs: number;
}

/** Walks what the broker sends. */
export interface DownWalk {
  walk(octets: Uint8Array): void;
  /** Where a last word may stand: how many of the octets are passed before it; undefined where it may stand in none of them. */
  walkToEnd(octets: Uint8Array): number | undefined;
  atBoundary(): boolean;
  counts(): { readonly messages: number; readonly redelivered: number; readonly nacks: number };
}

export interface Conversation {
  readonly handshake: Handshake;
  /** Asked for once it is joined, when what was agreed is known. */
  up(): UpWalk;
  down?(): DownWalk;
  /** Put between two frames, then both sides close. Needs `down`. */
  farewell?(reason: string): Uint8Array;
  /** As agreed; undefined: none is. Said only where `missing` is 0. */
  heartbeat?(): Heartbeat | undefined;
  /** To a client that has just put in more than may be, once what it put in before was answered. */
  quotaReached(reason: string): Uint8Array | string;
}

export interface Protocol {
  begin(judge: Judge, upstream: (grant: Grant) => Upstream): Conversation;
  /** To one too many. */
  readonly full: Uint8Array | string;
}
