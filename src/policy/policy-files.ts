/** The files of one folder with an ending, by name; an absent folder has none. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export function filesIn(directory: string, ending: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}
