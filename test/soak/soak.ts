/**
 * The contract of a soak: a large count in chunks. After each chunk what was counted is kept, so that a run that was cut goes on where it was; the
 * same seed gives the same inputs. What breaks a promise throws.
 */

export interface SoakContext {
  /** Of this soak; chunk n must derive all its randomness from (seed, n). */
  readonly seed: number;
  log(line: string): void;
}

export interface Soak {
  /** kebab-case; what ONLY= takes. */
  readonly name: string;
  /** What is promised, as a sentence. */
  readonly promise: string;
  readonly unit: string;
  readonly total: number;
  readonly chunk: number;
  /** Does `count` units as chunk number `index`; gives figures to sum up. Throws where the promise is broken. */
  run(
    context: SoakContext,
    chunk: { readonly index: number; readonly count: number },
  ): Promise<Readonly<Record<string, number>>>;
  /** Lets go of what the chunks share. */
  close?(): Promise<void>;
}
