/** Acts on one key follow each other; those on different keys do not wait for each other. */

export function oneAtATime(): <T>(key: string, act: () => Promise<T>) => Promise<T> {
  const turns = new Map<string, Promise<unknown>>();
  return (key, act) => {
    const mine = (turns.get(key) ?? Promise.resolve()).then(act, act);
    const quiet = mine.then(
      () => undefined,
      () => undefined,
    );
    turns.set(key, quiet);
    void quiet.then(() => {
      if (turns.get(key) === quiet) turns.delete(key);
    });
    return mine;
  };
}
