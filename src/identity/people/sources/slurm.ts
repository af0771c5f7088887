/**
 * Slurm's associations as facts: an account is a project, its users are members, its coordinators lead it, GrpTRESMins bounds its node-minutes. Pure, of
 * what `sacctmgr --parsable2 --noheader` prints. Slurm knows no mail addresses, no dates and no facility roles; a fair share is a ratio, not an amount.
 */
import type { SlurmSource } from '../people-settings.ts';
import { type Allocation, type Ignored, type Membership, PROJECT_NAME, type Reading, SUBJECT } from '../person.ts';
import { SourceError } from './csv.ts';

export const ASSOCIATION_FIELDS = 'Cluster,Account,User,Partition,ParentName,Fairshare,GrpTRESMins';
export const ACCOUNT_FIELDS = 'Account,Description,Coordinators';

interface Association {
  readonly cluster: string;
  readonly account: string;
  /** Empty: of the account itself. */
  readonly user: string;
  readonly parent: string;
  readonly minutes: string;
}

type Rules = Pick<SlurmSource, 'clusters' | 'rename' | 'nested' | 'coresPerNode' | 'subjectPrefix'> & {
  readonly ignoreAccounts: readonly string[];
};

/** Throws SourceError where a line has not the fields that were asked for: a half answer must not be taken for a whole one. */
export function parseSlurm(
  texts: { readonly associations: string; readonly accounts?: string },
  rules: Rules,
): Reading {
  const associations = lines('associations', texts.associations, 7).map(
    ([cluster = '', account = '', user = '', , parent = '', , minutes = '']): Association => ({
      cluster,
      account,
      user,
      parent,
      minutes,
    }),
  );
  const accounts = new Map(
    accountLines(texts.accounts ?? '').map(({ account, title, coordinators }) => [account, { title, coordinators }]),
  );
  const ignored: Ignored[] = [];
  const skip = new Set(rules.ignoreAccounts);
  const parents = new Map(
    associations.filter((a) => a.user === '').map((a) => [`${a.cluster}/${a.account}`, a.parent]),
  );
  const projectOf = (a: Pick<Association, 'cluster' | 'account'>): string => {
    const account = rules.nested === 'fold' ? topmost(a, parents, skip) : a.account;
    return Object.hasOwn(rules.rename, account) ? (rules.rename[account] ?? account) : account;
  };
  const projects = new Map<string, string>();
  const refused = new Set<string>();
  for (const a of associations) {
    const name = projectOf(a);
    if (skip.has(a.account) || projects.has(name) || refused.has(name)) continue;
    if (PROJECT_NAME.test(name)) projects.set(name, accounts.get(a.account)?.title || name);
    else {
      refused.add(name);
      ignored.push({ what: `account ${a.account}`, reason: 'its name can be no project’s: give it one under rename' });
    }
  }
  const taken = associations.filter((a) => !skip.has(a.account) && projects.has(projectOf(a)));
  const memberships = new Map<string, Membership>();
  const subjects = new Set<string>();
  const join = (user: string, project: string, role: Membership['role']): void => {
    const subject = rules.subjectPrefix + user;
    if (user === 'root') return;
    if (!SUBJECT.test(subject)) {
      ignored.push({ what: `user ${JSON.stringify(user.slice(0, 40))}`, reason: 'the name cannot be used here' });
      return;
    }
    subjects.add(subject);
    const key = `${project}/${subject}`;
    // An association for each partition and cluster names the same person again; a lead stays one.
    if (!memberships.has(key) || role === 'project-lead') memberships.set(key, { project, subject, role, until: null });
  };
  for (const a of taken) if (a.user !== '') join(a.user, projectOf(a), 'member');
  for (const [account, { coordinators }] of accounts) {
    const own = taken.find((a) => a.account === account);
    // Whoever coordinates a sub-account does not lead what it is folded into.
    if (own === undefined || (rules.nested === 'fold' && own.account !== topmost(own, parents, skip))) continue;
    for (const user of coordinators) join(user, projectOf(own), 'project-lead');
  }
  return {
    persons: [...subjects].map((subject) => ({ subject, name: subject, mail: null, state: 'active', roles: [] })),
    projects: [...projects].map(([name, title]) => ({
      name,
      title,
      environments: null,
      tiers: null,
      streams: null,
      queuedJobs: null,
    })),
    memberships: [...memberships.values()],
    allocations: allocationsOf(taken, {
      projectOf,
      rules,
      ignored,
      isTop: (a) => a.account === topmost(a, parents, skip),
    }),
    ignored,
  };
}

function allocationsOf(
  associations: readonly Association[],
  how: {
    readonly projectOf: (a: Association) => string;
    readonly rules: Rules;
    readonly ignored: Ignored[];
    readonly isTop: (a: Association) => boolean;
  },
): readonly Allocation[] {
  const { rules, ignored } = how;
  return associations.flatMap((a) => {
    if (a.user !== '' || a.minutes === '') return [];
    // The limit of a sub-account lies within that of its topmost one: counting both would grant the same hours twice.
    if (rules.nested === 'fold' && !how.isTop(a)) return [];
    const cluster = Object.hasOwn(rules.clusters, a.cluster) ? (rules.clusters[a.cluster] ?? a.cluster) : a.cluster;
    const nodeHours = nodeHoursOf(
      a.minutes,
      Object.hasOwn(rules.coresPerNode, cluster) ? rules.coresPerNode[cluster] : undefined,
    );
    if (nodeHours !== undefined) return [{ project: how.projectOf(a), cluster, nodeHours, from: null, to: null }];
    ignored.push({
      what: `GrpTRESMins of account ${a.account} on ${a.cluster}`,
      reason: `${JSON.stringify(a.minutes.slice(0, 80))} bounds no nodes: give coresPerNode of ${cluster} if it bounds cpu`,
    });
    return [];
  });
}

/** Of `cpu=120000,node=6000` (minutes); undefined where it bounds neither nodes nor cpu of a known node size. */
export function nodeHoursOf(minutes: string, coresPerNode: number | undefined): number | undefined {
  const amounts = new Map(minutes.split(',').map((part) => [part.split('=')[0] ?? '', Number(part.split('=')[1])]));
  const node = amounts.get('node');
  const cpu = amounts.get('cpu');
  const hours =
    node !== undefined
      ? node / 60
      : cpu !== undefined && coresPerNode !== undefined
        ? cpu / coresPerNode / 60
        : Number.NaN;
  return Number.isFinite(hours) && hours >= 0 ? hours : undefined;
}

/** The account below root; an account that is its own ancestor (a damaged answer) stands for itself. */
function topmost(
  a: Pick<Association, 'cluster' | 'account'>,
  parents: ReadonlyMap<string, string>,
  skip: ReadonlySet<string>,
): string {
  let account = a.account;
  const seen = new Set([account]);
  for (;;) {
    const parent = parents.get(`${a.cluster}/${account}`);
    if (parent === undefined || parent === '' || parent === 'root' || skip.has(parent)) return account;
    if (seen.has(parent)) return a.account;
    seen.add(parent);
    account = parent;
  }
}

/** A description may hold the separator: the name is before the first, the coordinators are after the last. */
function accountLines(
  text: string,
): readonly { readonly account: string; readonly title: string; readonly coordinators: readonly string[] }[] {
  return lines('accounts', text, 3, true).map((fields) => ({
    account: fields[0] ?? '',
    title: fields
      .slice(1, -1)
      .join('|')
      .replaceAll(/\p{Cc}/gu, ' ')
      .toWellFormed()
      .slice(0, 200),
    coordinators: (fields.at(-1) ?? '').split(',').filter((name) => name !== ''),
  }));
}

function lines(what: string, text: string, count: number, orMore = false): readonly (readonly string[])[] {
  const faults: { file: string; line: number; detail: string }[] = [];
  const rows = text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const fields = line.replace(/\r$/, '').split('|');
    if (fields.length === count || (orMore && fields.length > count)) return [fields];
    faults.push({
      file: what,
      line: i + 1,
      detail: `${fields.length} fields in place of ${count}: is this sacctmgr --parsable2 --noheader with the format of docs/operate/people.md?`,
    });
    return [];
  });
  if (faults.length > 0) throw new SourceError(faults.slice(0, 20));
  return rows;
}
