/** Composition of signing in: providers, second factors, and the pages that a person meets. A part of server.ts, which hands in what they stand on. */
import { join } from 'node:path';
import {
  devicePages,
  factorManagePages,
  factorPages,
  type Page,
  type PageDeps,
  sessionPages,
  signInPages,
} from './api/index.ts';
import {
  browserSession,
  type FactorDeps,
  type FinishDeps,
  openIdentityProviders,
  type Provider,
  readFactorKeys,
  type SignInSettings,
} from './identity/index.ts';

export interface SignInParts {
  readonly login: FinishDeps;
  readonly factors: FactorDeps;
  readonly pages: { readonly deps: PageDeps; readonly list: readonly Page[] };
}

export function openSignIn(
  on: Omit<FinishDeps, 'providers' | 'sessions'> & Omit<PageDeps, 'sessionOf'>,
  of: {
    readonly settings: SignInSettings;
    readonly devProviders: readonly Provider[];
    readonly stateDir: string;
    /** The facility's name for people. */
    readonly title: string;
  },
): SignInParts {
  const { db, clock, audit, verifier, log } = on;
  const { sessions } = of.settings;
  const providers = openIdentityProviders([...of.settings.providers, ...of.devProviders], {
    clock,
    oldestSignOnSeconds: Math.round(sessions.browserHours * 3600),
  });
  const login: FinishDeps = { db, clock, audit, verifier, sessions, providers, log };
  const keys = readFactorKeys(join(of.stateDir, 'keys', 'factor-keys.json'));
  const factors: FactorDeps = { db, clock, audit, verifier, keys };
  const list = [
    ...signInPages({ ...login, title: of.title }),
    ...sessionPages(login),
    ...devicePages(login),
    ...factorPages(factors),
    ...factorManagePages(factors),
  ];
  const deps: PageDeps = { ...on, sessionOf: (cookies) => browserSession(login, cookies) };
  return { login, factors, pages: { deps, list } };
}
