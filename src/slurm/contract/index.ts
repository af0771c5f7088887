/** The wire between control plane and Slurm agent; imports nothing but itself and zod, so that both ends may import it. */
export * from './acts.ts';
export * from './facts.ts';
export * from './failure.ts';
export * from './job-record.ts';
export * from './link.ts';
export * from './link-file.ts';
export * from './policy.ts';
