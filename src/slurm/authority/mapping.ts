/**
 * Whom a project's person is on this cluster: a table in the agent's own file, or the site's own command. Whatever it says is checked each time against the Unix user
 * database: never root, slurm, the agent or the signer, uid at least 1000, and a group that holds nobody but that user and the agent. RFD 4.
 */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { MappedUser } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { ownUids, readOwnFile, WRITTEN_BY_OWNER_ONLY } from './own-file.ts';
import { UNIX_NAME, type UnixDatabase } from './unix-database.ts';

const path = z.string().refine((p) => isAbsolute(p) && !p.includes('\0'), 'an absolute path');
const unixName = z.string().regex(UNIX_NAME);
const account = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/);

const answerSchema = z.strictObject({
  user: unixName,
  account,
  /** Default: the user's primary group. */
  group: unixName.optional(),
  roots: z.array(path).max(32),
});

export const mappingSchema = z
  .strictObject({
    /** Project to its user; `people` of the project who have a user of their own. */
    projects: z
      .record(z.string(), answerSchema.extend({ people: z.record(z.string(), unixName).default({}) }))
      .optional(),
    /** Absolute argv: gets one line {"project","person"}, answers one line like an entry of the table. */
    command: z
      .array(z.string())
      .min(1)
      .refine(([program = '']) => isAbsolute(program), 'begins with an absolute path')
      .optional(),
    /** Never below 1000. */
    minUid: z.int().min(1000).default(1000),
    /** Users that nobody is mapped to, beside root, slurm and ourselves. */
    never: z.array(z.string()).default([]),
  })
  .refine((m) => (m.projects === undefined) !== (m.command === undefined), 'either projects or command');

export type Mapping = z.output<typeof mappingSchema>;
export type MappingAnswer = z.output<typeof answerSchema>;

/** Throws Error with a plain reason where the file is not ours alone to write, or malformed. */
export async function loadMapping(file: string): Promise<Mapping> {
  const bytes = await readOwnFile(file, {
    forbiddenMode: WRITTEN_BY_OWNER_ONLY,
    owners: ownUids(),
    largestBytes: 4 * 1024 * 1024,
  });
  const read = mappingSchema.safeParse(parse(bytes.toString('utf8')));
  if (read.success) {
    // Whoever may write the program decides as much as whoever may write the file.
    if (read.data.command?.[0] !== undefined) await refuseForeign(read.data.command[0]);
    return read.data;
  }
  throw new Error(`${file}: ${read.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`);
}

async function refuseForeign(program: string): Promise<void> {
  const found = await stat(program);
  if (!found.isFile() || !ownUids().includes(found.uid) || (found.mode & WRITTEN_BY_OWNER_ONLY) !== 0)
    throw new Error(`${program}: the mapping command must be a file of root or the agent that nobody else may write`);
}

export interface Who {
  readonly project: string;
  readonly person: string;
}

export interface MapperDeps {
  readonly mapping: Mapping;
  readonly unix: UnixDatabase;
  readonly clock: Clock;
  /** The agent's own user. */
  readonly self: { readonly uid: number; readonly name: string };
}

const NEVER = ['root', 'slurm', 'munge', 'nobody', 'beamway-signer'];
const KEEP_MS = 60_000;
const MOST_KEPT = 4096;

/** Resolves to whom a job runs as. SlurmFailure `refused` with the reason, `unavailable` where the database or the command does not answer. */
export function mapper(deps: MapperDeps): (who: Who) => Promise<MappedUser> {
  const kept = new Map<string, { readonly untilMs: number; readonly answer: Promise<MappingAnswer> }>();
  const answerFor = (who: Who): Promise<MappingAnswer> => {
    const { command } = deps.mapping;
    if (command === undefined) return Promise.resolve(fromTable(deps.mapping, who));
    const id = JSON.stringify([who.project, who.person]);
    const known = kept.get(id);
    if (known !== undefined && known.untilMs > deps.clock.monotonic()) return known.answer;
    const answer = fromCommand(command, who);
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(id, { untilMs: deps.clock.monotonic() + KEEP_MS, answer });
    answer.catch(() => kept.delete(id));
    return answer;
  };
  return async (who) => checkAnswer(deps, who, await answerFor(who));
}

function fromTable({ projects = {} }: Mapping, who: Who): MappingAnswer {
  const entry = Object.hasOwn(projects, who.project) ? projects[who.project] : undefined;
  if (entry === undefined) throw refused(who, 'it is not in the mapping of this cluster');
  const { people, ...answer } = entry;
  const own = Object.hasOwn(people, who.person) ? people[who.person] : undefined;
  // A person's own group comes with the user.
  if (own === undefined) return answer;
  const { group: _, ...rest } = answer;
  return { ...rest, user: own };
}

function fromCommand(command: readonly string[], who: Who): Promise<MappingAnswer> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };
    const child = execFile(
      program,
      args,
      { env, cwd: '/', timeout: 5000, killSignal: 'SIGKILL', maxBuffer: 65_536 },
      (error, stdout) => {
        if (error !== null) {
          reject(
            new SlurmFailure(
              { kind: 'unavailable', message: 'the mapping command of this cluster fails' },
              { cause: error },
            ),
          );
          return;
        }
        const read = answerSchema.safeParse(parsed(stdout));
        if (read.success) resolve(read.data);
        else reject(refused(who, 'the mapping command names nobody for it'));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${JSON.stringify(who)}\n`);
  });
}

async function checkAnswer({ mapping, unix, self }: MapperDeps, who: Who, answer: MappingAnswer): Promise<MappedUser> {
  const user = await unix.user(answer.user);
  if (user === undefined) throw refused(who, `its Unix user ${answer.user} does not exist here`);
  if (user.uid < Math.max(1000, mapping.minUid) || NEVER.includes(user.name) || mapping.never.includes(user.name))
    throw refused(who, `nothing runs as ${user.name}`);
  // A second name of a forbidden number is that user.
  for (const name of [...NEVER, ...mapping.never])
    if ((await unix.user(name))?.uid === user.uid) throw refused(who, `nothing runs as ${user.name}, who is ${name}`);
  if (user.uid === self.uid || user.name === self.name) throw refused(who, 'nothing runs as the agent');
  const group = answer.group === undefined ? await unix.groupOf(user.gid) : await unix.group(answer.group);
  if (group === undefined) throw refused(who, `the group of ${user.name} does not exist here`);
  if (group.gid < 1000) throw refused(who, `the group ${group.name} is one of the system`);
  const members = new Set([...group.members, ...(await unix.primaryMembers(group.gid))]);
  const strangers = [...members].filter((m) => m !== user.name && m !== self.name);
  if (strangers.length > 0)
    throw refused(
      who,
      `the group ${group.name} holds others than ${user.name} and the agent (${strangers[0]}), who could read the job's claims`,
    );
  if (group.gid !== user.gid && !members.has(user.name))
    throw refused(who, `${user.name} is not in the group ${group.name}`);
  return {
    name: user.name,
    uid: user.uid,
    gid: user.gid,
    group: { name: group.name, gid: group.gid },
    account: answer.account,
    roots: answer.roots,
  };
}

const refused = (who: Who, why: string): SlurmFailure =>
  new SlurmFailure({
    kind: 'refused',
    message: `project ${who.project} cannot run jobs on this cluster: ${why}; ask its administrators`,
  });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
