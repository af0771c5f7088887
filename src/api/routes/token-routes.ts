/** Bearers over HTTP. */
import {
  delegateToken,
  type IssueDeps,
  issueToken,
  type RevokeDeps,
  revokeToken,
  type Token,
  tokenById,
  tokenState,
  tokenSubtree,
  tokensPage,
} from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type TokenRoutes = Pick<
  Routes,
  | 'token.mint'
  | 'token.tree'
  | 'self.delegate'
  | 'self.tree'
  | 'token.list'
  | 'token.show'
  | 'token.revoke'
  | 'self.show'
  | 'self.revoke'
>;

export function tokenRoutes(deps: IssueDeps & RevokeDeps): TokenRoutes {
  const view = (token: Token) => ({
    id: token.id,
    kind: token.kind,
    state: tokenState(token, deps.clock.now()),
    subject: token.subject,
    description: token.description,
    parent: token.parent,
    depth: token.depth,
    project: token.project,
    enclave: token.enclave,
    environments: [...token.environments],
    scopes: [...token.scopes],
    roles: [...token.roles],
    createdAt: token.createdAt.toISOString(),
    notBefore: token.notBefore.toISOString(),
    expiresAt: token.expiresAt.toISOString(),
    revokedAt: token.revokedAt?.toISOString() ?? null,
  });
  const byId = async (id: string): Promise<Token> => {
    const token = await tokenById(deps.db, id);
    if (token === undefined) throw new Problem('not-found', `No token ${id}.`);
    return token;
  };
  return {
    'token.mint': {
      locate: ({ body }) => ({ resource: { project: body.project }, label: '' }),
      async handle({ caller, body }) {
        const { token, value } = await issueToken(deps, caller, body);
        return { ...view(token), value };
      },
    },
    'token.list': {
      async handle({ query }) {
        const tokens = await tokensPage(deps.db, {
          limit: query.limit,
          ...(query.project === undefined ? {} : { project: query.project }),
          ...(query.after === undefined ? {} : { after: query.after }),
        });
        return { tokens: tokens.map(view), next: tokens.length === query.limit ? (tokens.at(-1)?.id ?? null) : null };
      },
    },
    'token.show': {
      handle: async ({ params }) => view(await byId(params.id)),
    },
    'token.revoke': {
      locate: ({ params }) => ({ resource: {}, label: `token/${params.id}` }),
      handle: async ({ caller, params }) => view(await revokeToken(deps, caller, params.id)),
    },
    'token.tree': {
      async handle({ params }) {
        await byId(params.id);
        return { tokens: (await tokenSubtree(deps.db, params.id)).map(view) };
      },
    },
    'self.tree': { handle: async ({ caller }) => ({ tokens: (await tokenSubtree(deps.db, caller.id)).map(view) }) },
    'self.delegate': {
      locate: ({ caller }) => ({ resource: listedProject(caller, undefined), label: '' }),
      async handle({ caller, body }) {
        const { token, value } = await delegateToken(deps, caller, body);
        return { ...view(token), value };
      },
    },
    'self.show': {
      handle: async ({ caller }) => view(await byId(caller.id)),
    },
    'self.revoke': {
      locate: ({ caller }) => ({ resource: {}, label: `token/${caller.id}` }),
      handle: async ({ caller }) => view(await revokeToken(deps, caller, caller.id)),
    },
  };
}
