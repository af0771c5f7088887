/** Gives up root for good: for processes that root starts in a checkout that nobody else may read, after all modules are loaded and before any file is read. */
export interface BecomeOptions {
  readonly user: string;
  /** Absent: the user's primary group. */
  readonly group?: string;
}

/** Does nothing where we are not root. Throws where root would be left, or something of it. */
export function becomeUser({ user, group = user }: BecomeOptions): void {
  // Missing in the types of Node 24, there in Node on POSIX.
  const { initgroups } = process as { initgroups?: (user: string, group: string) => void };
  const { setgid, setuid } = process;
  if (process.geteuid?.() !== 0) return;
  if (user === 'root' || user === '0' || initgroups === undefined || setgid === undefined || setuid === undefined)
    throw new Error(`cannot become ${user}`);
  initgroups.call(process, user, group);
  setgid.call(process, group);
  setuid.call(process, user);
  if (
    process.getuid?.() === 0 ||
    process.geteuid?.() === 0 ||
    process.getegid?.() === 0 ||
    process.getgroups?.().includes(0) === true
  )
    throw new Error(`something of root is left after becoming ${user}`);
}
