/**
 * The 64-octet greeting that opens a ZMTP connection (RFC 37, "Greeting"): signature, version, mechanism, as-server,
 * filler. Read octet by octet, so that a peer that is no ZMTP peer is told apart at its first octets.
 * Owns no state.
 */

export const GREETING_BYTES = 64;
export type Mechanism = 'NULL' | 'PLAIN';

export interface Greeting {
  readonly minor: number;
  readonly mechanism: string;
  readonly asServer: boolean;
}

export type GreetingRead =
  | { readonly kind: 'more' }
  | { readonly kind: 'greeting'; readonly greeting: Greeting }
  | { readonly kind: 'malformed'; readonly reason: string };

const MORE: GreetingRead = { kind: 'more' };
const malformed = (reason: string): GreetingRead => ({ kind: 'malformed', reason });

export function encodeGreeting(mechanism: Mechanism, asServer: boolean): Buffer {
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting[0] = 0xff;
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting[11] = 1;
  greeting.write(mechanism, 12, 'latin1');
  greeting[32] = asServer ? 1 : 0;
  return greeting;
}

/** Reads what has arrived of the peer's greeting. Versions before 3 are named and refused; later ones speak 3.1 down to us. */
export function readGreeting(bytes: Uint8Array): GreetingRead {
  const first = bytes[0];
  if (first === undefined) return MORE;
  if (first !== 0xff) {
    const hint = first === 0x01 ? 'a ZMTP 1.0 peer (libzmq 2); ZMTP 3 is needed' : 'not a ZMTP peer';
    return malformed(`${hint} (first octet 0x${first.toString(16).padStart(2, '0')})`);
  }
  const signatureEnd = bytes[9];
  if (signatureEnd === undefined) return MORE;
  if ((signatureEnd & 1) === 0) return malformed('a ZMTP 1.0 peer (libzmq 2); ZMTP 3 is needed');
  if (signatureEnd !== 0x7f) return malformed('malformed ZMTP signature');
  const major = bytes[10];
  if (major === undefined) return MORE;
  if (major < 3) return malformed(`a ZMTP ${major === 0 ? '1.0' : '2.0'} peer (libzmq before 4); ZMTP 3 is needed`);
  if (bytes.length < GREETING_BYTES) return MORE;
  const asServer = bytes[32];
  if (asServer !== 0 && asServer !== 1) return malformed('malformed greeting: as-server is neither 0 nor 1');
  const mechanism = readMechanism(bytes.subarray(12, 32));
  if (mechanism === undefined) return malformed('malformed greeting: bad mechanism name');
  return {
    kind: 'greeting',
    greeting: { minor: major > 3 ? 1 : (bytes[11] ?? 0), mechanism, asServer: asServer === 1 },
  };
}

/** Up to 20 octets of `A-Z 0-9 - _ . +`, padded with zeros; undefined when it is anything else. */
function readMechanism(field: Uint8Array): string | undefined {
  const end = field.indexOf(0);
  const name = Buffer.from(end === -1 ? field : field.subarray(0, end)).toString('latin1');
  const padded = end === -1 || field.subarray(end).every((octet) => octet === 0);
  return padded && /^[A-Z0-9._+-]+$/.test(name) ? name : undefined;
}
