/** The agent's end of the signer's socket: a token for a user, kept until ten seconds before it ends, asked for once however many want it. Tokens are in memory only. */
import { connect } from 'node:net';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';

const answerSchema = z.union([
  z.strictObject({ token: z.string().min(1).max(4096), expiresAtMs: z.number() }),
  z.strictObject({ refused: z.string() }),
  /** May be asked again. */
  z.strictObject({ unavailable: z.string() }),
]);

const EARLY_MS = 10_000;
const ANSWER_MS = 5000;
const ANSWER_BYTES = 8192;
const MOST_KEPT = 10_000;

export interface SignerClient {
  /** SlurmFailure `unavailable` where the signer is away, `refused` where it will not. */
  token(user: string): Promise<string>;
  /** Slurm did not take the last one, perhaps as its key is another now: the next is a new one. */
  forget(user: string): void;
}

export function signerClient(socket: string, clock: Clock): SignerClient {
  const kept = new Map<string, { readonly untilMs: number; readonly token: Promise<string> }>();
  const token = (user: string): Promise<string> => {
    const known = kept.get(user);
    if (known !== undefined && known.untilMs > clock.now()) return known.token;
    const asked = ask(socket, user);
    const coming = asked.then(({ token: text, expiresAtMs }) => {
      kept.set(user, { untilMs: expiresAtMs - EARLY_MS, token: coming });
      return text;
    });
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(user, { untilMs: clock.now() + ANSWER_MS, token: coming });
    coming.catch(() => kept.delete(user));
    return coming;
  };
  return { token, forget: (user) => void kept.delete(user) };
}

function ask(path: string, user: string): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
  return new Promise((resolve, reject) => {
    const away = (why: string): void =>
      reject(new SlurmFailure({ kind: 'unavailable', message: `the signer does not answer (${why})` }));
    const socket = connect(path);
    let text = '';
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer in time')));
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
      if (text.length > ANSWER_BYTES) socket.destroy(new Error('answer too long'));
    });
    socket.on('error', (cause) => away(cause.message));
    socket.on('close', () => {
      try {
        const answer = answerSchema.parse(JSON.parse(text));
        if ('token' in answer) resolve(answer);
        else if ('unavailable' in answer) away(answer.unavailable);
        else
          reject(
            new SlurmFailure({ kind: 'refused', message: `the signer gives no token for ${user}: ${answer.refused}` }),
          );
      } catch {
        away('no answer');
      }
    });
    socket.write(`${JSON.stringify({ user })}\n`);
  });
}
