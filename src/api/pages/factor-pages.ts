/**
 * `/beamway/factor?return=PATH`: whoever is sent here shows a second factor and goes on to PATH. Policy's remedies and the device code of the
 * command line point here. What is decided is decided in identity/second-factor.
 */
import {
  askPasskey,
  type FactorCall,
  type FactorDeps,
  factorsOf,
  type RelyingParty,
  relyingParty,
  useCode,
  usePasskey,
  whatChangeNeeds,
} from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import { backOf, FACTOR_PATH, FACTORS_PATH, SCRIPT_PATH } from './factor-return.ts';
import { FACTOR_SCRIPT } from './factor-script.ts';
import { noFactorView, stepUpView } from './factor-views.ts';
import { document, html, type Page, type PageAnswer, type PageCall } from './page.ts';
import { places } from './places.ts';

/** Told on the page itself, above the form. */
const TOLD_HERE: ReadonlySet<string> = new Set(['factor-wrong', 'factor-locked']);

export function factorPages(deps: FactorDeps): readonly Page[] {
  return [
    {
      id: 'factor.show',
      method: 'GET',
      path: FACTOR_PATH,
      needs: 'session',
      audit: false,
      async handle(call) {
        // Sent here without a place to go back to: whoever has nothing to show here is led to the list.
        const alone = call.query['return'] === undefined;
        if (alone && (await whatChangeNeeds(deps, factorCall(call))) !== 'show-factor')
          return { kind: 'redirect', to: FACTORS_PATH };
        return show(deps, call, undefined);
      },
    },
    {
      id: 'factor.use-code',
      method: 'POST',
      path: `${FACTOR_PATH}/code`,
      needs: 'session',
      audit: true,
      async handle(call) {
        try {
          await useCode(deps, factorCall(call), call.form['code'] ?? '');
        } catch (thrown) {
          return show(deps, call, toldHere(thrown));
        }
        return { kind: 'redirect', to: backOf(call) };
      },
    },
    {
      id: 'factor.ask-passkey',
      method: 'POST',
      path: `${FACTOR_PATH}/passkey/begin`,
      needs: 'session',
      audit: false,
      handle: async (call) => ({
        kind: 'json',
        status: 200,
        body: await askPasskey(deps, factorCall(call), partyOf(call)),
      }),
    },
    {
      id: 'factor.use-passkey',
      method: 'POST',
      path: `${FACTOR_PATH}/passkey/finish`,
      needs: 'session',
      audit: true,
      async handle(call) {
        await usePasskey(deps, factorCall(call), { party: partyOf(call), response: fieldOf(call.json, 'response') });
        return { kind: 'json', status: 200, body: { to: backOf(call) } };
      },
    },
    {
      id: 'factor.script',
      method: 'GET',
      path: SCRIPT_PATH,
      needs: 'nobody',
      audit: false,
      handle: () => ({ kind: 'script', text: FACTOR_SCRIPT }),
    },
  ];
}

async function show(deps: FactorDeps, call: PageCall, problem: Problem | undefined): Promise<PageAnswer> {
  const of = factorCall(call);
  const factors = await factorsOf(deps.db, of.session.subject);
  const has = (method: string): boolean => factors.some((f) => f.method === method);
  const view =
    factors.length === 0
      ? noFactorView(call)
      : stepUpView(call, {
          passkeys: has('webauthn') && relyingParty(call.origin) !== undefined,
          codes: has('totp'),
          error: problem?.message,
        });
  const body = document('Show your second factor', html`${view}${places(call, of.session)}`, { script: SCRIPT_PATH });
  return { kind: 'page', status: problem?.status ?? 200, body };
}

/** Rethrows what is no word to the person. */
export function toldHere(thrown: unknown): Problem {
  if (thrown instanceof Problem && TOLD_HERE.has(thrown.code)) return thrown;
  throw thrown;
}

export function factorCall(call: PageCall): FactorCall {
  const { session, requestId, remoteAddress } = call;
  if (session === undefined) throw new Problem('token-missing', 'You are signed out.');
  return { session, requestId, remoteAddress };
}

export function partyOf(call: PageCall): RelyingParty {
  const party = relyingParty(call.origin);
  if (party === undefined) throw new Problem('conflict', 'Browsers give passkeys to host names behind https only.');
  return party;
}

export function fieldOf(json: unknown, name: string): unknown {
  return typeof json === 'object' && json !== null ? (json as Readonly<Record<string, unknown>>)[name] : undefined;
}
