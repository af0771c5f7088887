/** For tests: a token as a value, and the example facility with its rules. */
import { resolve } from 'node:path';
import { type Facility, loadFacility } from '../facility/index.ts';
import { PLAIN_TOKEN, type Token } from './token.ts';
import { loadTokenRules, type TokenRules } from './token-rules.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../facility');

export const exampleFacility: Facility = loadFacility(EXAMPLE);
export const exampleRules: TokenRules = loadTokenRules(EXAMPLE);

export const NOW = 1_800_000_000_000;

/** Of project demo in the open enclave, valid for an hour from NOW. */
export function tokenLike(change: Partial<Token> = {}): Token {
  return {
    id: 'tok_parent',
    kind: 'token',
    subject: 's',
    description: '',
    parent: null,
    depth: 0,
    project: 'demo',
    enclave: 'open',
    environments: ['ace'],
    scopes: ['job:read'],
    roles: [],
    ...PLAIN_TOKEN,
    createdAt: new Date(NOW),
    createdBy: 'x',
    notBefore: new Date(NOW),
    expiresAt: new Date(NOW + 3_600_000),
    revokedAt: null,
    revokedBy: null,
    ...change,
  };
}
