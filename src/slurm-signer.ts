/** Composition root of the signer: `beamway slurm-signer`, the one process that holds Slurm's JWT key. Knows no control plane and no network. RFD 4. */

import { pino } from 'pino';
import { parse } from 'yaml';
import { z } from 'zod';
import { systemClock } from './clock.ts';
import { openSigner, openUnixDatabase, ownUids, readOwnFile, SECRET, WRITTEN_BY_OWNER_ONLY } from './slurm/index.ts';

const settingsSchema = z.strictObject({
  socket: z.string().startsWith('/'),
  keyFile: z.string().startsWith('/'),
  users: z.array(z.string()).min(1),
  lifetimeSeconds: z.int().min(15).max(60).default(60),
  perMinute: z.int().min(1).max(100_000).default(600),
});

/** Throws Error with a plain reason: as root or slurm, or with files that others could write or read. */
export async function startSigner(configFile: string): Promise<{ readonly socket: string; stop(): Promise<void> }> {
  if (process.getuid?.() === 0) throw new Error('the signer does not run as root: give it a user of its own');
  const text = await readOwnFile(configFile, {
    forbiddenMode: WRITTEN_BY_OWNER_ONLY,
    owners: ownUids(),
    largestBytes: 1024 * 1024,
  });
  const settings = settingsSchema.parse(parse(text.toString('utf8')));
  const key = await readOwnFile(settings.keyFile, { forbiddenMode: SECRET, owners: ownUids(), largestBytes: 65_536 });
  if (key.length < 32) throw new Error(`${settings.keyFile}: a key of at least 32 bytes`);
  const unix = openUnixDatabase({ clock: systemClock });
  const self = await unix.userOf(process.getuid?.() ?? -1);
  if (self?.name === 'slurm') throw new Error('the signer does not run as slurm: give it a user of its own');
  const log = pino({ level: 'info', base: { part: 'slurm-signer' } }, pino.destination(2));
  const signer = await openSigner({ ...settings, key, unix, clock: systemClock, log });
  return { socket: settings.socket, stop: () => signer.close() };
}
