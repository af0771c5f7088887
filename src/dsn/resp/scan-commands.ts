/**
 * Walks what a known client sends, whatever the reads it comes in: counts commands by what they are and bounds their lengths, without copying or keeping a payload. State: where in
 * a command it stands. Not a judge of rights: those are the broker's, by the user whom the gateway logs in.
 */

export interface CommandScanner {
  /** What is wrong with the octets; undefined: nothing. After a violation it is not to be asked again. */
  scan(octets: Uint8Array): string | undefined;
  /** Like `scan`, but stops before the end of the command that would be one message more than `room`: how many octets stand before that. */
  scanUpTo(octets: Uint8Array, room: number): string | number;
  /** Commands that put messages in: XADD, PUBLISH, SPUBLISH, LPUSH, RPUSH. A pushed list counts as one. */
  messages(): number;
  commands(): number;
}

export interface ScanBounds {
  /** Of one argument, octets. */
  readonly maxWordBytes: number;
}

const MOST_WORDS = 1_048_576;
const LONGEST_LINE = 65_536;
const CR = 0x0d;
const LF = 0x0a;
const PUTS: ReadonlySet<string> = new Set(['xadd', 'publish', 'spublish', 'lpush', 'rpush']);
/** Longer names put no message in. */
const LONGEST_NAME = 8;

type Where = 'start' | 'words' | 'bulk-mark' | 'bulk-length' | 'payload' | 'payload-end' | 'line';

export function commandScanner({ maxWordBytes }: ScanBounds): CommandScanner {
  let where: Where = 'start';
  let number = 0;
  let digits = 0;
  let sawCr = false;
  let wordsLeft = 0;
  let payloadLeft = 0;
  let first = false;
  let name = '';
  let lineBytes = 0;
  let messages = 0;
  let commands = 0;

  let mostMessages = Number.POSITIVE_INFINITY;
  let full = false;

  const ended = (): void => {
    if (messages >= mostMessages && PUTS.has(name.toLowerCase())) {
      full = true;
      return;
    }
    commands += 1;
    if (PUTS.has(name.toLowerCase())) messages += 1;
    name = '';
    where = 'start';
  };
  /** One octet of a length; undefined while it goes on. */
  const length = (octet: number): 'done' | 'violation' | undefined => {
    if (sawCr) return octet === LF ? 'done' : 'violation';
    if (octet === CR) {
      sawCr = true;
      return digits === 0 ? 'violation' : undefined;
    }
    digits += 1;
    if (octet < 0x30 || octet > 0x39 || digits > 10) return 'violation';
    number = number * 10 + octet - 0x30;
    return undefined;
  };
  const expectNumber = (next: Where): void => {
    where = next;
    number = 0;
    digits = 0;
    sawCr = false;
  };

  const step = (octet: number): string | undefined => {
    switch (where) {
      case 'start':
        if (octet === 0x2a) expectNumber('words');
        else if (octet === LF || octet === CR) return undefined;
        else {
          where = 'line';
          lineBytes = 1;
          name = '';
        }
        return undefined;
      case 'words': {
        const read = length(octet);
        if (read === 'violation') return 'the length of a command is no number';
        if (read !== 'done') return undefined;
        if (number > MOST_WORDS) return `a command of more than ${MOST_WORDS} words`;
        wordsLeft = number;
        first = true;
        if (wordsLeft === 0) ended();
        else where = 'bulk-mark';
        return undefined;
      }
      case 'bulk-mark':
        if (octet !== 0x24) return 'a word that is no bulk string';
        expectNumber('bulk-length');
        return undefined;
      case 'bulk-length': {
        const read = length(octet);
        if (read === 'violation') return 'the length of a word is no number';
        if (read !== 'done') return undefined;
        if (number > maxWordBytes) return `a word of ${number} octets; at most ${maxWordBytes} are taken here`;
        payloadLeft = number;
        name = first ? '' : name;
        sawCr = false;
        where = payloadLeft === 0 ? 'payload-end' : 'payload';
        return undefined;
      }
      case 'payload-end':
        if (octet !== (sawCr ? LF : CR)) return 'a word that does not end where it says';
        if (!sawCr) {
          sawCr = true;
          return undefined;
        }
        first = false;
        wordsLeft -= 1;
        if (wordsLeft === 0) ended();
        else where = 'bulk-mark';
        return undefined;
      case 'line':
        lineBytes += 1;
        if (lineBytes > LONGEST_LINE) return `a line of more than ${LONGEST_LINE} octets`;
        if (octet === LF) ended();
        return undefined;
      case 'payload':
        return undefined;
    }
  };

  const run = (octets: Uint8Array): string | number => {
    for (let at = 0; at < octets.length; ) {
      if (where === 'payload') {
        const count = Math.min(payloadLeft, octets.length - at);
        if (first && name.length <= LONGEST_NAME)
          name += Buffer.from(octets.buffer, octets.byteOffset + at, Math.min(count, LONGEST_NAME + 1)).toString(
            'latin1',
          );
        payloadLeft -= count;
        at += count;
        if (payloadLeft === 0) where = 'payload-end';
        continue;
      }
      const violation = step(octets[at] ?? 0);
      if (violation !== undefined) return violation;
      if (full) return at;
      at += 1;
    }
    return octets.length;
  };

  return {
    scan(octets) {
      mostMessages = Number.POSITIVE_INFINITY;
      const ran = run(octets);
      return typeof ran === 'string' ? ran : undefined;
    },
    scanUpTo(octets, room) {
      mostMessages = messages + room;
      return run(octets);
    },
    messages: () => messages,
    commands: () => commands,
  };
}
