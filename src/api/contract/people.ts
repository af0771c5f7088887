/** Operations on people, projects, imports and expiry notices. */
import { z } from 'zod';
import { limitField, nameField, textField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const subjectField = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}$/, 'the name of a person');
const projectParameter = z.strictObject({ id: nameField });
const projectRole = z.enum(['member', 'project-lead']);
const state = z.enum(['active', 'disabled']);
const csv = textField(900_000);

const planSchema = z.strictObject({
  changes: z.array(
    z.strictObject({
      kind: z.enum(['persons', 'projects', 'memberships', 'allocations']),
      key: z.string(),
      change: z.enum(['added', 'changed', 'ended']),
      fields: z.array(z.string()).describe('That differ'),
    }),
  ),
  ignored: z.array(z.strictObject({ what: z.string(), reason: z.string() })),
  endedShare: z.number().describe('Of the members that the source has now, 0 to 1'),
});

export const importPeople = operation({
  id: 'person.import',
  method: 'POST',
  path: '/beamway/v1/imports',
  summary: 'Take people, projects and allocations in from a source of people.yaml, or say what that would change',
  tag: 'people',
  body: z.strictObject({
    source: nameField,
    dryRun: z.boolean().default(false).describe('Only the plan'),
    force: z.boolean().default(false).describe('However many members it ends'),
    csv: z
      .strictObject({
        people: csv.optional(),
        projects: csv.optional(),
        memberships: csv.optional(),
        allocations: csv.optional(),
      })
      .optional()
      .describe('For a source of kind csv: the files’ contents, in place of its folder'),
  }),
  response: z.strictObject({
    source: z.string(),
    applied: z.boolean(),
    plan: planSchema,
    disabled: z.array(z.string()).describe('People who lost their place here'),
    left: z.array(z.strictObject({ project: z.string(), subject: z.string() })),
    projectsEnded: z.array(z.string()),
    revoked: z.array(z.string()).describe('Sessions and tokens'),
    flagged: z.array(z.string()).describe('Tokens that were kept though their person left the project'),
  }),
  action: 'person:import',
  audit: 'mutation',
  auditFields: ['source', 'dryRun', 'force'],
});

export const listSources = operation({
  id: 'import.list',
  method: 'GET',
  path: '/beamway/v1/imports',
  summary: 'Sources of people, when each was last read, and what came of it',
  tag: 'people',
  response: z.strictObject({
    sources: z.array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(['csv', 'slurm', 'ldap']),
        syncMinutes: z.number().nullable(),
        triedAt: timeField.nullable(),
        doneAt: timeField.nullable(),
        failure: z.string().nullable().describe('Of the last try; what was imported before stays'),
        counts: z.record(z.string(), z.int()).nullable().describe('Of the last try that did not fail'),
      }),
    ),
  }),
  action: 'person:read',
});

const personSchema = z.strictObject({
  subject: z.string(),
  name: z.string(),
  mail: z.string().nullable(),
  state,
  roles: z.array(z.string()).describe('In the whole facility'),
  sources: z.array(z.string()).describe('That list them now'),
  memberships: z.array(
    z.strictObject({ project: z.string(), role: projectRole, until: timeField.nullable(), source: z.string() }),
  ),
});

export const listPersons = operation({
  id: 'person.list',
  method: 'GET',
  path: '/beamway/v1/persons',
  summary: 'Imported people, by name; of one project for its members, of all for staff',
  tag: 'people',
  query: z.strictObject({
    project: nameField.optional(),
    after: subjectField.optional().describe('The last subject of the page before'),
    limit: limitField,
  }),
  response: z.strictObject({ persons: z.array(personSchema), next: z.string().nullable() }),
  action: 'person:read',
});

export const showPerson = operation({
  id: 'person.show',
  method: 'GET',
  path: '/beamway/v1/persons/{id}',
  summary: 'One person; oneself, or anybody for staff',
  tag: 'people',
  params: z.strictObject({ id: subjectField }),
  response: personSchema,
  action: 'person:read',
});

const allocationSchema = z.strictObject({
  cluster: z.string(),
  nodeHours: z.number(),
  from: timeField.nullable(),
  to: timeField.nullable(),
  source: z.string(),
});

const projectSchema = z.strictObject({
  name: z.string(),
  title: z.string(),
  environments: z.array(z.string()),
  tiers: z.array(z.string()),
  limits: z.strictObject({ streams: z.int(), queuedJobs: z.int() }),
  origin: z.string().describe('facility.yaml, or imported'),
});

export const listProjects = operation({
  id: 'project.list',
  method: 'GET',
  path: '/beamway/v1/projects',
  summary: 'Projects: those of the caller, all for staff',
  tag: 'people',
  response: z.strictObject({ projects: z.array(projectSchema) }),
  action: 'self:read',
});

export const showProject = operation({
  id: 'project.show',
  method: 'GET',
  path: '/beamway/v1/projects/{id}',
  summary: 'A project with its members and allocations',
  tag: 'people',
  params: projectParameter,
  response: projectSchema.extend({
    members: z.array(
      z.strictObject({ subject: z.string(), role: projectRole, until: timeField.nullable(), source: z.string() }),
    ),
    allocations: z.array(allocationSchema),
  }),
  action: 'person:read',
});

export const showUsage = operation({
  id: 'project.usage',
  method: 'GET',
  path: '/beamway/v1/projects/{id}/usage',
  summary: 'Node-hours used by cluster, beside the allocation',
  tag: 'people',
  params: projectParameter,
  query: z.strictObject({ since: timeField.optional().describe('Default: 30 days ago') }),
  response: z.strictObject({
    project: z.string(),
    since: timeField,
    until: timeField,
    clusters: z.array(
      z.strictObject({
        cluster: z.string(),
        nodeHours: z.number().describe('Used since; a part of a node counts by its share of the slots'),
        attempts: z.int(),
        burnPerDay: z.number().describe('Node-hours a day since then'),
        allocation: z
          .strictObject({
            nodeHours: z.number().describe('Of all allocations in force'),
            from: timeField.nullable(),
            to: timeField.nullable(),
            used: z.number().describe('Node-hours since from'),
            usedPercent: z.number().nullable(),
            elapsedPercent: z.number().nullable().describe('Of the time between from and to'),
            emptyAt: timeField.nullable().describe('When it is used up if the burn goes on'),
          })
          .nullable(),
      }),
    ),
  }),
  action: 'job:read',
});

const noticeSchema = z.strictObject({
  id: z.string(),
  kind: z.enum(['token', 'allocation', 'membership']),
  thing: z.string(),
  project: z.string().nullable(),
  subjects: z.array(z.string()).describe('Who is told'),
  days: z.int(),
  endsAt: timeField,
  text: z.string(),
  at: timeField,
  deliveredAt: timeField.nullable(),
});

export const listNotices = operation({
  id: 'notice.list',
  method: 'GET',
  path: '/beamway/v1/notices',
  summary: 'What ends soon: the caller’s own and those of projects that the caller leads, all for staff',
  tag: 'people',
  query: z.strictObject({ before: wordField.optional(), limit: limitField }),
  response: z.strictObject({ notices: z.array(noticeSchema), next: z.string().nullable() }),
  action: 'self:read',
});

export const sendNotices = operation({
  id: 'notice.send',
  method: 'POST',
  path: '/beamway/v1/notices',
  summary: 'Look now for what ends soon and tell those whom nobody told',
  tag: 'people',
  response: z.strictObject({ written: z.int(), delivered: z.int(), failed: z.int() }),
  action: 'person:import',
  audit: 'mutation',
});
