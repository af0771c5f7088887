/** A client's first words in ZMTP 3.1 (RFC 23, PLAIN: RFC 24). Pure but for the wire it is given. */
import type { Wire } from './knock-endpoint.ts';

const GREETING_BYTES = 64;

/** Up to WELCOME: a client that says READY too would be a producer or consumer from then on. */
export async function helloZmtp(
  wire: Pick<Wire, 'write' | 'read'>,
  username: string,
  password: string,
): Promise<string> {
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting[0] = 0xff;
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting[11] = 1;
  greeting.write('PLAIN', 12, 'latin1');
  wire.write(greeting);
  const theirs = await wire.read((octets) => {
    if (octets.length > 0 && octets[0] !== 0xff) return octets.length;
    return octets.length >= GREETING_BYTES ? GREETING_BYTES : undefined;
  });
  if (theirs[0] !== 0xff || theirs[9] !== 0x7f) throw new Error('it does not speak ZMTP');
  const mechanism = theirs.toString('latin1', 12, 32).replaceAll('\0', '');
  if (mechanism !== 'PLAIN')
    throw new Error(`it wants the mechanism ${mechanism || 'NULL'}: this stream admits by address, not by credential`);
  const short = (text: string): Buffer => Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]);
  const body = Buffer.concat([short('HELLO'), short(username), short(password)]);
  wire.write(Buffer.concat([Buffer.of(0x04, body.length), body]));
  const answer = await wire.read((octets) => {
    const size = octets[1];
    return size === undefined || octets.length < size + 2 ? undefined : size + 2;
  });
  const name = answer.toString('latin1', 3, 3 + (answer[2] ?? 0));
  if (name === 'WELCOME') return `${username} is let in`;
  const at = 3 + (answer[2] ?? 0);
  const reason = answer.toString('utf8', at + 1, at + 1 + (answer[at] ?? 0));
  throw new Error(name === 'ERROR' ? `refused: ${reason}` : 'it does not speak ZMTP with PLAIN');
}
