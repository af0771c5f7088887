/**
 * What every online verb needs: where the facility is, with which bearer, how to print, and which exit code a failure has. A token's value
 * is taken from the environment, a file or the profile, never from the command line.
 */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BeamwayProblem, BeamwayUnreachable, type Client, createClient } from '../client.ts';

export const EXIT = { ok: 0, failed: 1, usage: 2, refused: 3, notFound: 4, unavailable: 5 } as const;

/** A failure that is the caller's to mend, with its exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  constructor(message: string, exitCode: number = EXIT.usage) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface Environment {
  readonly [name: string]: string | undefined;
}

export interface Profile {
  readonly url?: string;
  readonly token?: string;
}

/** BEAMWAY_URL, BEAMWAY_TOKEN, BEAMWAY_TOKEN_FILE; what they leave open comes from the profile BEAMWAY_PROFILE (default `default`). */
export function clientFrom(env: Environment): Client {
  const profile = readProfile(env);
  // An empty variable is one that was not set: shells write `BEAMWAY_TOKEN= beamway …` to leave it out.
  const url = env['BEAMWAY_URL'] || profile.url;
  if (url === undefined)
    throw new CommandError('Say which facility: set BEAMWAY_URL, or write a profile (see beamway --help).');
  if (!URL.canParse(url)) throw new CommandError(`BEAMWAY_URL is no URL: ${url}`);
  const file = env['BEAMWAY_TOKEN_FILE'] || undefined;
  const token = env['BEAMWAY_TOKEN'] || (file === undefined ? profile.token : readTokenFile(file));
  return createClient(token === undefined ? { url } : { url, token });
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw new CommandError(
      `BEAMWAY_TOKEN_FILE cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}

export function profilePath(env: Environment): string {
  return join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? homedir(), '.config'), 'beamway', 'profiles.json');
}

function readProfile(env: Environment): Profile {
  const path = profilePath(env);
  const name = env['BEAMWAY_PROFILE'] ?? 'default';
  const profiles = readProfiles(path);
  const found = Object.entries(profiles ?? {}).find(([key]) => key === name)?.[1];
  if (typeof found === 'object' && found !== null) return found as Profile;
  if (env['BEAMWAY_PROFILE'] !== undefined)
    throw new CommandError(
      profiles === undefined ? `profile ${name}: ${path} cannot be read` : `${path} has no profile ${name}`,
    );
  return {};
}

/** The whole file, by profile name; undefined where there is none. Throws CommandError where others can read it, or it is no JSON. */
export function readProfiles(path: string): Readonly<Record<string, unknown>> | undefined {
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0)
      throw new CommandError(`${path} can be read by others; run: chmod 600 ${path}`);
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    return undefined;
  }
  try {
    const profiles: unknown = JSON.parse(text);
    return typeof profiles === 'object' && profiles !== null ? (profiles as Record<string, unknown>) : {};
  } catch {
    // The parser's own message would quote what stands there, a token perhaps.
    throw new CommandError(`${path} is no JSON: write {"default": {"url": "…", "token": "…"}}`);
  }
}

/** The exit code of a failure, as architecture.md section 4 lists them. */
export function exitCodeOf(failure: unknown): number {
  if (failure instanceof CommandError) return failure.exitCode;
  if (failure instanceof BeamwayUnreachable) return EXIT.unavailable;
  if (!(failure instanceof BeamwayProblem)) return EXIT.failed;
  if (failure.code === 'limit-reached') return EXIT.refused;
  switch (failure.status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return EXIT.usage;
    case 401:
    case 403:
      return EXIT.refused;
    case 404:
      return EXIT.notFound;
    case 429:
    case 503:
      return EXIT.unavailable;
    default:
      return EXIT.failed;
  }
}

/** What a person reads on stderr: what happened, each field or rule, what to do next. */
export function explain(failure: unknown): string {
  if (!(failure instanceof BeamwayProblem))
    return `beamway: ${failure instanceof Error ? failure.message : String(failure)}\n`;
  const { title, detail, remedy, errors = [], rules = [], limit, instance } = failure.document;
  const lines = [`beamway: ${title}: ${detail}`];
  for (const error of errors) lines.push(`  ${error.pointer}: ${error.detail}`);
  for (const rule of rules) lines.push(`  rule ${rule.rule}: ${rule.detail}`);
  if (limit !== undefined) lines.push(`  limit: ${limit}`);
  lines.push(`  next: ${remedy}`);
  if (instance !== undefined) lines.push(`  ${instance}`);
  return `${lines.join('\n')}\n`;
}
