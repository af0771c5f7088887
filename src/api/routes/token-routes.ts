/** Bearers over HTTP. */
import {
  delegateToken,
  flagsOf,
  type IssueDeps,
  issueToken,
  type RevokeDeps,
  renewToken,
  revokeToken,
  rotateToken,
  type Token,
  type TokenFlag,
  tokenById,
  tokenState,
  tokenSubtree,
  tokensPage,
} from '../../identity/index.ts';
import { childWish, tokenResource, wishedToken } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { pendingRevocations } from '../../streaming/index.ts';
import type { Answer, Operations } from '../contract/index.ts';
import type { Located } from '../exchange.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type TokenRoutes = Pick<
  Routes,
  | 'token.mint'
  | 'token.tree'
  | 'self.delegate'
  | 'self.renew'
  | 'self.rotate'
  | 'self.tree'
  | 'token.list'
  | 'token.show'
  | 'token.revoke'
  | 'self.show'
  | 'self.revoke'
>;

type TokenView = Answer<Operations['token.show']>;

/** What everybody who may see a bearer is shown of it: never its digest or its browser. `nowMs` in milliseconds since the Unix epoch. */
export function tokenView(token: Token, nowMs: number, flag: TokenFlag | undefined): TokenView {
  return {
    id: token.id,
    kind: token.kind,
    state: tokenState(token, nowMs),
    subject: token.subject,
    description: token.description,
    parent: token.parent,
    depth: token.depth,
    project: token.project,
    enclave: token.enclave,
    environments: [...token.environments],
    scopes: [...token.scopes],
    roles: [...token.roles],
    purpose: token.purpose,
    classification: token.classification,
    sources: [...token.sources],
    maxUses: token.maxUses,
    uses: token.uses,
    reservedUses: token.reservedUses,
    renewableUntil: token.renewableUntil?.toISOString() ?? null,
    replaces: token.replaces,
    methods: [...token.methods],
    factorAt: token.factorAt?.toISOString() ?? null,
    outsidePurpose: flag === undefined ? null : { ...flag, at: flag.at.toISOString() },
    createdAt: token.createdAt.toISOString(),
    createdBy: token.createdBy,
    notBefore: token.notBefore.toISOString(),
    expiresAt: token.expiresAt.toISOString(),
    revokedAt: token.revokedAt?.toISOString() ?? null,
  };
}

export function tokenRoutes(deps: IssueDeps & RevokeDeps): TokenRoutes {
  const views = async (tokens: readonly Token[]): Promise<TokenView[]> => {
    const flags = await flagsOf(
      deps.db,
      tokens.filter((t) => t.purpose !== '').map((t) => t.id),
    );
    return tokens.map((token) => tokenView(token, deps.clock.now(), flags.get(token.id)));
  };
  const fresh = (token: Token): TokenView => tokenView(token, deps.clock.now(), undefined);
  const byId = async (id: string): Promise<Token> => {
    const token = await tokenById(deps.db, id);
    if (token === undefined) throw new Problem('not-found', `No token ${id}.`);
    return token;
  };
  const view = async (id: string): Promise<TokenView> => {
    const [shown] = await views([await byId(id)]);
    if (shown === undefined) throw new Error(`token ${id} has no view`);
    return shown;
  };
  // A stranger is refused by policy before anybody says whether there is such a token.
  const locate = async ({ params }: { readonly params: { readonly id: string } }): Promise<Located> => ({
    resource: tokenResource(await tokenById(deps.db, params.id)),
    label: `token/${params.id}`,
  });
  const own = ({ caller }: { readonly caller: { readonly id: string } }): Located => ({
    resource: {},
    label: `token/${caller.id}`,
  });
  const tree = async (id: string): Promise<{ tokens: TokenView[] }> => ({
    tokens: await views(await tokenSubtree(deps.db, id)),
  });
  const revoke = async (caller: Parameters<typeof revokeToken>[1], id: string) => {
    await revokeToken(deps, caller, id);
    const gone = await tokenSubtree(deps.db, id);
    const pending = await pendingRevocations(
      deps,
      gone.map((t) => t.id),
    );
    return { ...(await view(id)), pending: pending.map((p) => ({ ...p, until: p.until.toISOString() })) };
  };
  return {
    'token.mint': {
      locate: ({ caller, body }) => ({ resource: wishedToken(deps.facility, caller, body), label: '' }),
      async handle({ caller, body }) {
        const { token, value } = await issueToken(deps, caller, body);
        return { ...fresh(token), value };
      },
    },
    'token.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ query, located }) {
        const { project } = located.resource;
        const tokens = await tokensPage(deps.db, {
          limit: query.limit,
          ...(project === undefined ? {} : { project }),
          ...(query.after === undefined ? {} : { after: query.after }),
        });
        return {
          tokens: await views(tokens),
          next: tokens.length === query.limit ? (tokens.at(-1)?.id ?? null) : null,
        };
      },
    },
    'token.show': { locate, handle: ({ params }) => view(params.id) },
    'token.revoke': { locate, handle: ({ caller, params }) => revoke(caller, params.id) },
    'token.tree': { locate, handle: ({ params }) => tree(params.id) },
    'self.tree': { handle: ({ caller }) => tree(caller.id) },
    'self.delegate': {
      locate({ caller, body }) {
        if (caller.kind !== 'token') return { resource: {}, label: '' };
        return { resource: childWish(caller, body), label: '' };
      },
      async handle({ caller, body }) {
        const { token, value } = await delegateToken(deps, caller, body);
        return { ...fresh(token), value };
      },
    },
    'self.show': { handle: ({ caller }) => view(caller.id) },
    'self.renew': { locate: own, handle: async ({ caller, body }) => view((await renewToken(deps, caller, body)).id) },
    'self.rotate': {
      async handle({ caller, body }) {
        const { token, value } = await rotateToken(deps, caller, body);
        return { ...fresh(token), value };
      },
    },
    'self.revoke': { locate: own, handle: ({ caller }) => revoke(caller, caller.id) },
  };
}
