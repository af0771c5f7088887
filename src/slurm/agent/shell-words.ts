/** Writes texts so that a POSIX shell reads them back as they are, and never as anything to do. The only place that makes shell text from a user's words. */

/** One word. Inside single quotes a shell knows no special character but the quote itself. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Assignments, one a line. Names are checked by the caller's schema. */
export function shellAssignments(values: Readonly<Record<string, string>>, prefix: '' | 'export '): string {
  return Object.entries(values)
    .map(([name, value]) => `${prefix}${name}=${shellWord(value)}\n`)
    .join('');
}

/** Sets the positional parameters. */
export function shellArguments(words: readonly string[]): string {
  return `set -- ${words.map(shellWord).join(' ')}\n`;
}
