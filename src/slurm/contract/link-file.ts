/** link.json of a Slurm agent (mode 0600): where the control plane's replicas are, and the bearer. Written by `beamway admin slurm-link`, read again before each dial. */
import { z } from 'zod';

/** A bearer never travels in the clear: https, or http on this very host. */
export function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return false;
  if (protocol === 'https:') return true;
  return protocol === 'http:' && /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(hostname);
}

export const linkFileSchema = z.strictObject({
  /** One per replica: a ticket is known to the replica that gave it. */
  urls: z.array(z.string().refine(isSafeUrl, 'https, or http on a loopback address')).min(1).max(16),
  bearer: z.string().min(1).max(256),
});
export type LinkFile = z.output<typeof linkFileSchema>;
