/** OpenAPI 3.1, read off the contract. Served, and committed as docs/reference/openapi.json: a test fails when they differ. */
import { z } from 'zod';
import { PROBLEMS } from '../problems.ts';
import { oauthErrorSchema, problemSchema } from './contract/fields.ts';
import { OPERATIONS, type Operation } from './contract/index.ts';
import { FORM_TYPE } from './read-form.ts';

export const API_VERSION = '0.1.0';

const JSON_SCHEMA = { target: 'draft-2020-12', unrepresentable: 'any' } as const;

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { ...JSON_SCHEMA, io });
  return rest;
}

function parametersOf(schema: z.ZodObject, where: 'path' | 'query'): object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { ...JSON_SCHEMA, io: 'input' });
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: property,
  }));
}

const LAST_EVENT = { name: 'Last-Event-ID', in: 'header', required: false, schema: { type: 'string', maxLength: 64 } };

function operationObject(operation: Operation): object {
  const key = { name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 200 } };
  return {
    operationId: operation.id,
    summary: operation.summary,
    tags: [operation.tag],
    'x-beamway-action': operation.action,
    'x-beamway-audit': operation.audit,
    security: operation.action === 'none' ? [] : [{ bearer: [] }],
    parameters: [
      ...parametersOf(operation.params, 'path'),
      ...parametersOf(operation.query, 'query'),
      ...(operation.idempotent ? [key] : []),
      ...(operation.events ? [LAST_EVENT] : []),
    ],
    ...(operation.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: {
              [operation.form ? FORM_TYPE : 'application/json']: { schema: schemaOf(operation.body, 'input') },
            },
          },
        }),
    responses: {
      [operation.success]: {
        description: 'Done',
        content: operation.events
          ? { 'text/event-stream': { schema: { type: 'string' } } }
          : { [operation.text || 'application/json']: { schema: schemaOf(operation.response, 'output') } },
      },
      default:
        operation.native === 'oauth'
          ? {
              description: 'An OAuth 2.0 error',
              content: { 'application/json': { schema: { $ref: '#/components/schemas/OauthError' } } },
            }
          : {
              description: 'A problem',
              content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
            },
    },
  };
}

export function openapiDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of Object.values(OPERATIONS)) {
    const path = paths[operation.path] ?? {};
    paths[operation.path] = path;
    path[operation.method.toLowerCase()] = operationObject(operation);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Beamway',
      version: API_VERSION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: 'An open facility gateway for interactive high performance computing.',
    },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A project access token (bwp_…) or a session (bws_…)' },
      },
      schemas: {
        Problem: { ...schemaOf(problemSchema, 'output'), 'x-beamway-codes': Object.keys(PROBLEMS) },
        OauthError: schemaOf(oauthErrorSchema, 'output'),
      },
    },
  };
}

let text: string | undefined;

export function openapiText(): string {
  text ??= `${JSON.stringify(openapiDocument(), null, 2)}\n`;
  return text;
}
