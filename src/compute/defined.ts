/** Without the members that are undefined: to the scheduler port an absent member and an undefined one are two things. */
export function defined<T extends object>(value: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    readonly [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
