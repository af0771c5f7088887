/** People, projects, imports and expiry notices over HTTP. */
import { projectUsage } from '../../compute/index.ts';
import type { LiveProjects, Project } from '../../facility/index.ts';
import {
  type AllocationRow,
  allocationRows,
  type Caller,
  importPeople,
  listPeople,
  membersOf,
  type Notice,
  type NoticeDeps,
  noticesPage,
  type PeopleDeps,
  type PersonView,
  sendNotices,
  sourceStates,
} from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import type { Answer, Operations } from '../contract/index.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type PeopleRoutes = Pick<
  Routes,
  | 'person.import'
  | 'import.list'
  | 'person.list'
  | 'person.show'
  | 'project.list'
  | 'project.show'
  | 'project.usage'
  | 'notice.list'
  | 'notice.send'
>;

export interface PeopleRouteDeps {
  readonly people: PeopleDeps;
  readonly notices: NoticeDeps;
  readonly live: LiveProjects;
}

const DAY_MS = 86_400_000;
const DEFAULT_SINCE_MS = 30 * DAY_MS;
const STAFF = new Set(['administrator', 'operator', 'security']);

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

/** The projects that a list shows to this caller; undefined: all. */
function visibleProjects(caller: Caller): readonly string[] | undefined {
  if (caller.kind === 'token') return [caller.project];
  if (caller.kind !== 'session') return [];
  return caller.roles.some((r) => STAFF.has(r)) ? undefined : caller.projects;
}

function personView(p: PersonView): Answer<Operations['person.show']> {
  const { subject, name, mail, state, roles, sources, memberships } = p;
  return {
    subject,
    name,
    mail,
    state,
    roles: [...roles],
    sources: [...sources],
    memberships: memberships.map(({ project, role, until, source }) => ({ project, role, until: iso(until), source })),
  };
}

function noticeView(n: Notice): Answer<Operations['notice.list']>['notices'][number] {
  const { id, kind, thing, project, subjects, days, endsAt, text, at, deliveredAt } = n;
  return {
    id,
    kind,
    thing,
    project,
    subjects: [...subjects],
    days,
    endsAt: endsAt.toISOString(),
    text,
    at: at.toISOString(),
    deliveredAt: iso(deliveredAt),
  };
}

export function peopleRoutes(deps: PeopleRouteDeps): PeopleRoutes {
  const { people, live } = deps;
  const { db, clock } = people;
  const { facility } = live;
  const projectView = (p: Project) => ({
    name: p.name,
    title: p.title,
    environments: [...p.environments],
    tiers: [...p.tiers],
    limits: { ...p.limits },
    origin: live.own.has(p.name) ? 'facility.yaml' : 'imported',
  });
  const projectNamed = (name: string): Project => {
    const project = facility.projects.get(name);
    if (project === undefined) throw new Problem('not-found', `No project ${name}, or none that you may see.`);
    return project;
  };
  return {
    'person.import': {
      locate: ({ body }) => ({ resource: {}, label: `source/${body.source}` }),
      async handle({ caller, body }) {
        const { plan, applied, losses, revoked, flagged } = await importPeople(people, caller, body);
        return {
          source: body.source,
          applied,
          plan: {
            changes: plan.changes.map((c) => ({ ...c, fields: [...c.fields] })),
            ignored: plan.ignored.map((i) => ({ ...i })),
            endedShare: plan.endedShare,
          },
          disabled: [...losses.disabled],
          left: losses.memberships.map((m) => ({ ...m })),
          projectsEnded: [...losses.projects],
          revoked: [...revoked],
          flagged: [...flagged],
        };
      },
    },
    'import.list': {
      async handle() {
        const states = await sourceStates(db);
        const sources = people.settings.sources.map(({ name, kind, syncMinutes = null }) => {
          const { triedAt = null, doneAt = null, failure = null, counts = null } = states.get(name) ?? {};
          return {
            name,
            kind,
            syncMinutes,
            triedAt: iso(triedAt),
            doneAt: iso(doneAt),
            failure,
            counts: counts === null ? null : { ...counts },
          };
        });
        return { sources };
      },
    },
    'person.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ query, located }) {
        const { project } = located.resource;
        const { after, limit } = query;
        const found = (await listPeople(db))
          .filter((p) => project === undefined || p.memberships.some((m) => m.project === project))
          .filter((p) => after === undefined || p.subject > after)
          .toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
          .slice(0, limit);
        // Who asks about one project learns nothing of a person's others.
        const persons = found
          .map(personView)
          .map((p) =>
            project === undefined ? p : { ...p, memberships: p.memberships.filter((m) => m.project === project) },
          );
        return { persons, next: persons.length === limit ? (persons.at(-1)?.subject ?? null) : null };
      },
    },
    'person.show': {
      locate: ({ params }) => ({ resource: { subject: params.id }, label: `person/${params.id}` }),
      async handle({ params }) {
        const person = (await listPeople(db)).find((p) => p.subject === params.id);
        if (person === undefined) throw new Problem('not-found', `No source lists a person ${params.id}.`);
        return personView(person);
      },
    },
    'project.list': {
      handle({ caller }) {
        const visible = visibleProjects(caller);
        const projects = [...facility.projects.values()].filter((p) => visible?.includes(p.name) ?? true);
        return { projects: projects.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(projectView) };
      },
    },
    'project.show': {
      locate: ({ params }) => ({ resource: { project: params.id }, label: `project/${params.id}` }),
      async handle({ params }) {
        const project = projectNamed(params.id);
        const members = await membersOf(db, project.name);
        const allocations = await allocationRows(db, project.name);
        return {
          ...projectView(project),
          members: members.map(({ subject, role, until, source }) => ({ subject, role, until: iso(until), source })),
          allocations: allocations.map(({ cluster, nodeHours, from, to, source }) => ({
            cluster,
            nodeHours,
            from,
            to,
            source,
          })),
        };
      },
    },
    'project.usage': {
      locate: ({ params }) => ({ resource: { project: params.id }, label: `project/${params.id}` }),
      async handle({ params, query }) {
        const { name: project } = projectNamed(params.id);
        const now = clock.now();
        const since = query.since === undefined ? now - DEFAULT_SINCE_MS : Date.parse(query.since);
        if (since >= now)
          throw new Problem('invalid-request', 'The interval is empty.', {
            errors: [{ pointer: 'query:/since', detail: 'a time before now' }],
          });
        const usage = await projectUsage({ db, facility }, { project, since, until: now });
        const granted = Map.groupBy(
          (await allocationRows(db, project)).filter((a) => isInForce(a, now)),
          (a) => a.cluster,
        );
        const clusters = await Promise.all(
          [...new Set([...usage.map((u) => u.cluster), ...granted.keys()])].sort().map(async (cluster) => {
            const { nodeHours = 0, attempts = 0 } = usage.find((u) => u.cluster === cluster) ?? {};
            const burnPerDay = nodeHours / ((now - since) / DAY_MS);
            const allocations = granted.get(cluster);
            if (allocations === undefined) return { cluster, nodeHours, attempts, burnPerDay, allocation: null };
            const span = spanOf(allocations);
            const [own] = await projectUsage(
              { db, facility },
              { project, cluster, since: span.from ?? 0, until: now },
            ).then((all) => all.filter((u) => u.cluster === cluster));
            return {
              cluster,
              nodeHours,
              attempts,
              burnPerDay,
              allocation: balance({ ...span, used: own?.nodeHours ?? 0 }, now, burnPerDay),
            };
          }),
        );
        return { project, since: new Date(since).toISOString(), until: new Date(now).toISOString(), clusters };
      },
    },
    'notice.list': {
      async handle({ caller, query }) {
        const visible = visibleProjects(caller);
        const leads = caller.kind === 'session' ? (caller.leads ?? []) : [];
        const notices = await noticesPage(db, {
          limit: query.limit,
          ...(query.before === undefined ? {} : { before: query.before }),
          // A token sees nothing of its person's other projects.
          ...(caller.kind === 'token' ? { project: caller.project } : {}),
          ...(visible === undefined ? {} : { visibleTo: { subject: caller.subject, projects: leads } }),
        });
        return {
          notices: notices.map(noticeView),
          next: notices.length === query.limit ? (notices.at(-1)?.id ?? null) : null,
        };
      },
    },
    'notice.send': {
      locate: () => ({ resource: {}, label: 'notices' }),
      async handle() {
        return { ...(await sendNotices(deps.notices)) };
      },
    },
  };
}

const isInForce = (a: AllocationRow, now: number): boolean =>
  (a.from === null || Date.parse(a.from) <= now) && (a.to === null || Date.parse(a.to) > now);

interface Span {
  readonly granted: number;
  /** Milliseconds since the Unix epoch; null where one allocation states none. */
  readonly from: number | null;
  readonly to: number | null;
}

/** Allocations of one cluster that are in force together count as one: from the first begin to the last end. */
function spanOf(allocations: readonly AllocationRow[]): Span {
  const edge = (times: readonly (string | null)[], of: (...ms: number[]) => number): number | null =>
    times.some((t) => t === null) ? null : of(...times.map((t) => Date.parse(t ?? '')));
  return {
    granted: allocations.reduce((sum, a) => sum + a.nodeHours, 0),
    from: edge(
      allocations.map((a) => a.from),
      Math.min,
    ),
    to: edge(
      allocations.map((a) => a.to),
      Math.max,
    ),
  };
}

/** Later than any calendar holds is never. */
const LATEST_MS = Date.UTC(9999, 11, 31);

function balance({ granted, from, to, used }: Span & { readonly used: number }, now: number, burnPerDay: number) {
  const left = Math.max(0, granted - used);
  const emptyMs = burnPerDay > 0 ? now + (left / burnPerDay) * DAY_MS : Number.POSITIVE_INFINITY;
  return {
    nodeHours: granted,
    from: from === null ? null : new Date(from).toISOString(),
    to: to === null ? null : new Date(to).toISOString(),
    used,
    usedPercent: granted === 0 ? null : (used / granted) * 100,
    elapsedPercent: from === null || to === null ? null : ((now - from) / (to - from)) * 100,
    emptyAt: emptyMs > LATEST_MS ? null : new Date(emptyMs).toISOString(),
  };
}
