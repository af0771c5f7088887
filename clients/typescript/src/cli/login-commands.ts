/**
 * `beamway login`, `logout`, `whoami`: a person's own session for the command line, by device code (RFC 8628). It lies in the profile file
 * (mode 0600) and nowhere else; what is printed is the user code, which is no secret for longer than its ten minutes.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { BeamwayProblem, BeamwayUnreachable, type Client, createClient, type Result } from '../client.ts';
import { CommandError, type Environment, EXIT, type Profile, profilePath, readProfiles } from './context.ts';
import { details, printJson, shortTime } from './print.ts';

/** RFC 8628 section 3.5. */
const SLOWER_SECONDS = 5;

interface LoginOptions {
  readonly url?: string;
  readonly stepUp?: boolean;
  readonly json?: boolean;
}

export function loginCommands(program: Command, client: () => Client, env: Environment): void {
  program
    .command('login')
    .description('sign in: confirm a code in a browser, here or on another device')
    .option('--url <url>', 'the facility; default: BEAMWAY_URL or the profile')
    .option('--step-up', 'ask for a second factor that is shown now, for what needs a fresh one')
    .option('--json', 'print one JSON document when signed in')
    .addHelpText(
      'after',
      '\nStores the session in the profile (BEAMWAY_PROFILE, default "default").\n\nExample:\n  beamway login --url https://beamway.example.org\n',
    )
    .action((options: LoginOptions) => login(env, options));

  program
    .command('logout')
    .description('end the session of the profile')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway logout\n')
    .action(async (options: { json?: boolean }) => {
      const { name, path, profile } = profileOf(env);
      const { url, token } = profile;
      if (url === undefined || token === undefined)
        throw new CommandError(`profile ${name} holds no session`, EXIT.failed);
      if (!token.startsWith('bws_'))
        throw new CommandError(
          `profile ${name} holds a project access token, no session: see beamway token revoke --self`,
        );
      // A session that has ended is what was wanted.
      await createClient({ url, token })
        .call('self.revoke')
        .catch((failure: unknown) => {
          if (!(failure instanceof BeamwayProblem && failure.status === 401)) throw failure;
        });
      writeProfile(path, name, { url });
      if (options.json === true) return printJson({ profile: name, signedIn: false });
      process.stdout.write(`signed out; profile ${name} keeps the URL ${url}\n`);
    });

  program
    .command('whoami')
    .description('who the facility takes you for, and until when')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  beamway whoami --json\n')
    .action(async (options: { json?: boolean }) => {
      const self = await client().call('self.show');
      if (options.json === true) return printJson(self);
      const own = self.kind === 'session';
      process.stdout.write(
        details([
          ['subject', self.subject],
          ['with', own ? 'a session' : `a ${self.kind}`],
          ...(own ? [['roles', self.roles.join(', ')] as const] : []),
          ...(self.project === null ? [] : [['project', self.project] as const]),
          ...(self.scopes.length === 0 ? [] : [['scopes', self.scopes.join(' ')] as const]),
          ['ends', shortTime(self.expiresAt)],
          ['id', self.id],
        ]),
      );
    });
}

async function login(env: Environment, options: LoginOptions): Promise<void> {
  const { name, path, profile } = profileOf(env);
  const url = options.url ?? env['BEAMWAY_URL'] ?? profile.url;
  if (url === undefined) throw new CommandError('Say where to sign in: beamway login --url URL, or set BEAMWAY_URL.');
  if (!URL.canParse(url)) throw new CommandError(`this is no URL: ${url}`);
  const facility = createClient({ url });
  const codes = await facility.call('login.device', { body: { step_up: options.stepUp === true } });
  process.stderr.write(
    `Open   ${codes.verification_uri_complete}\n` +
      `and confirm the code   ${codes.user_code}\n` +
      `(or open ${codes.verification_uri} on any device and type it). It holds for ${Math.round(codes.expires_in / 60)} minutes.\n`,
  );
  const session = await poll(facility, codes);
  writeProfile(path, name, { url, token: session.access_token });
  const { id, subject, roles, expiresAt } = session;
  if (options.json === true) printJson({ id, subject, roles, expiresAt, url, profile: name });
  else
    process.stdout.write(
      `signed in as ${subject} at ${url} until ${shortTime(expiresAt)}; kept in ${path}, profile ${name}\n`,
    );
  for (const over of ['BEAMWAY_TOKEN', 'BEAMWAY_TOKEN_FILE'])
    if (env[over] !== undefined) process.stderr.write(`${over} is set and goes before this session; unset it.\n`);
}

type Codes = Result<'login.device'>;

async function poll(facility: Client, codes: Codes): Promise<Result<'login.poll'>> {
  const end = performance.now() + codes.expires_in * 1000;
  let seconds = codes.interval;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    try {
      return await facility.call('login.poll', { body: { device_code: codes.device_code } });
    } catch (failure) {
      seconds = nextWait(failure, seconds);
    }
    if (performance.now() > end) throw new CommandError('nobody confirmed the code in time', EXIT.refused);
  }
}

/** Seconds until the next question; throws where there is none. */
function nextWait(failure: unknown, seconds: number): number {
  // A facility that is away for a moment has not forgotten the code.
  if (failure instanceof BeamwayUnreachable) return seconds;
  if (!(failure instanceof BeamwayProblem)) throw failure;
  if (failure.code === 'authorization-pending' || failure.status === 503) return seconds;
  if (failure.code === 'slow-down' || failure.status === 429) return seconds + SLOWER_SECONDS;
  if (failure.code === 'login-denied') throw new CommandError('the code was refused in the browser', EXIT.refused);
  if (failure.code === 'login-expired') throw new CommandError('nobody confirmed the code in time', EXIT.refused);
  throw failure;
}

/** Of this profile; one that is not there yet is empty, as signing in makes it. */
function profileOf(env: Environment): { readonly name: string; readonly path: string; readonly profile: Profile } {
  const path = profilePath(env);
  const name = env['BEAMWAY_PROFILE'] ?? 'default';
  const found = Object.entries(readProfiles(path) ?? {}).find(([key]) => key === name)?.[1];
  return { name, path, profile: typeof found === 'object' && found !== null ? (found as Profile) : {} };
}

/** The others stay as they are. Written beside and renamed: a full disk leaves the old file. */
function writeProfile(path: string, name: string, profile: Profile): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const profiles = { ...readProfiles(path), [name]: profile };
  // Left over by a login that was killed, it might be of another mode.
  rmSync(`${path}.new`, { force: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
