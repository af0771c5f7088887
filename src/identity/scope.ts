/**
 * The closed list of scopes: what a project access token may do. A policy action has the name of the scope it needs.
 * docs/reference/scopes.md is generated from this file.
 */
export const SCOPES = {
  'job:read': 'See jobs of the project, their attempts and their output',
  'job:submit': 'Submit jobs',
  'job:cancel': 'Cancel jobs',
  'job:control': 'Hold, release, requeue, signal and change jobs',
  'job:attach': "Open terminals in running jobs: everything that the job's Unix user may do there",
  'stream:read': 'See streams of the project, their endpoints and counters',
  'stream:create': 'Provision, extend and release streams',
  'stream:connect': 'Obtain short-lived credentials to produce into or consume from a stream',
  'token:delegate': 'Mint narrower child tokens',
  'window:read': 'See QoS windows of the project',
  'window:request': 'Request QoS windows',
  'run:create': 'Start and cancel workflow runs (with the scopes that their steps need)',
  'audit:read': 'Read audit records of the project',
  'metrics:read': 'Read metrics of the whole facility, names of all projects among them; minted by staff',
} as const;

export type Scope = keyof typeof SCOPES;

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[];

export function isScope(text: string): text is Scope {
  return Object.hasOwn(SCOPES, text);
}
