/**
 * Reads whole commands as Redis clients send them (RESP2 and RESP3 requests: an array of bulk strings; or a line of words), for the few before a client is known.
 * Source: Redis serialization protocol specification. Small and bounded: who is not known sends little. Never throws.
 */

export type CommandRead =
  | { readonly kind: 'command'; readonly words: readonly string[]; readonly end: number }
  | { readonly kind: 'more' }
  | { readonly kind: 'violation'; readonly reason: string };

/** HELLO 3 AUTH name password SETNAME name, CLIENT SETINFO …: a dozen words. */
const MOST_WORDS = 32;
const LONGEST_WORD = 1024;

/** `from`: where the command begins in `octets`. */
export function readCommand(octets: Buffer, from: number): CommandRead {
  if (from >= octets.length) return { kind: 'more' };
  return octets[from] === 0x2a ? readArray(octets, from) : readLine(octets, from);
}

function readArray(octets: Buffer, from: number): CommandRead {
  const head = readLength(octets, from + 1);
  if (typeof head === 'string') return outcome(head, 'the length of a command');
  if (head.value > MOST_WORDS) return { kind: 'violation', reason: `more than ${MOST_WORDS} words before AUTH` };
  const words: string[] = [];
  let at = head.end;
  for (let i = 0; i < head.value; i++) {
    if (at >= octets.length) return { kind: 'more' };
    if (octets[at] !== 0x24) return { kind: 'violation', reason: 'a word that is no bulk string' };
    const word = readLength(octets, at + 1);
    if (typeof word === 'string') return outcome(word, 'the length of a word');
    if (word.value > LONGEST_WORD)
      return { kind: 'violation', reason: `a word of more than ${LONGEST_WORD} octets before AUTH` };
    const end = word.end + word.value;
    if (octets.length < end + 2) return { kind: 'more' };
    if (octets[end] !== 0x0d || octets[end + 1] !== 0x0a)
      return { kind: 'violation', reason: 'a word that does not end where it says' };
    words.push(octets.toString('utf8', word.end, end));
    at = end + 2;
  }
  return { kind: 'command', words, end: at };
}

/** By hand, as with telnet; no quoting. */
function readLine(octets: Buffer, from: number): CommandRead {
  const end = octets.indexOf(0x0a, from);
  if (end < 0) {
    return octets.length - from > LONGEST_WORD
      ? { kind: 'violation', reason: 'a line without an end' }
      : { kind: 'more' };
  }
  if (end - from > LONGEST_WORD) return { kind: 'violation', reason: `a line of more than ${LONGEST_WORD} octets` };
  const text = octets.toString('utf8', from, end).trim();
  return { kind: 'command', words: text === '' ? [] : text.split(/\s+/).slice(0, MOST_WORDS), end: end + 1 };
}

type Length = { readonly value: number; readonly end: number } | 'more' | 'violation';

/** Digits and CR LF. A request holds no null and no negative length. */
function readLength(octets: Buffer, from: number): Length {
  let value = 0;
  for (let at = from; ; at++) {
    const octet = octets[at];
    if (octet === undefined) return at - from > 10 ? 'violation' : 'more';
    if (octet === 0x0d) {
      if (at === from) return 'violation';
      if (octets.length === at + 1) return 'more';
      return octets[at + 1] === 0x0a ? { value, end: at + 2 } : 'violation';
    }
    if (octet < 0x30 || octet > 0x39 || at - from >= 10) return 'violation';
    value = value * 10 + octet - 0x30;
  }
}

function outcome(length: 'more' | 'violation', what: string): CommandRead {
  return length === 'more' ? { kind: 'more' } : { kind: 'violation', reason: `${what} is no number` };
}

/** An answer of one line; `text` is ours and holds no line end. */
export const simple = (text: string): string => `+${text}\r\n`;
export const failure = (text: string): string => `-${text.replaceAll(/[\r\n]+/g, ' ')}\r\n`;

export function command(...words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}
