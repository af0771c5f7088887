/** Whom local jobs run as when root starts us outside `--dev`: `nobody`. A job is a stranger's program; root is never an option. */
import { readFileSync } from 'node:fs';

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** Undefined where we are not root: then jobs run as we do. Throws where there is no `nobody` in /etc/passwd. */
export function unprivilegedUser(): UserIds | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((l) => l.startsWith('nobody:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined)
    throw new Error('root starts jobs as nobody, and /etc/passwd has no nobody');
  return { uid: Number(uid), gid: Number(gid) };
}
