/**
 * Who runs us and who runs the server: PostgreSQL refuses to run as root, so root hands it to an unprivileged user.
 * Owns no state.
 */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { EmbeddedError } from './embedded-error.ts';

export interface OsUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Reads passwd(5) text; lines that are not seven fields with numeric ids are passed over. */
export function parsePasswd(text: string): readonly OsUser[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(':');
    const [name, , uid, gid] = fields;
    if (fields.length !== 7 || !name || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/** The user of this process. Throws EmbeddedError when it has no passwd entry, which initdb and peer authentication need. */
export function ourUser(): OsUser {
  try {
    const { username, uid, gid } = userInfo();
    return { name: username, uid, gid };
  } catch (cause) {
    const remedy = 'give it an entry in /etc/passwd, or use an external PostgreSQL by URL';
    throw new EmbeddedError(`user ${process.getuid?.()} has no name: ${remedy}`, { cause });
  }
}

/** Who runs the server: ourselves, or for root `postgres`, or else `nobody`. */
export function chooseServiceUser(us: OsUser, known: readonly OsUser[]): OsUser {
  if (us.uid !== 0) return us;
  const chosen = ['postgres', 'nobody'].flatMap((name) => known.find((u) => u.name === name && u.uid !== 0) ?? [])[0];
  if (chosen !== undefined) return chosen;
  throw new EmbeddedError(
    'PostgreSQL refuses to run as root, and neither postgres nor nobody is in /etc/passwd: add one of them',
  );
}

export function serviceUserFor(us: OsUser): OsUser {
  return us.uid === 0 ? chooseServiceUser(us, parsePasswd(readFileSync('/etc/passwd', 'utf8'))) : us;
}

/** Options for child_process that make a child run as `user`; empty when it is us. Node drops supplementary groups. */
export function runAs(user: OsUser): { readonly uid?: number; readonly gid?: number } {
  return process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {};
}
