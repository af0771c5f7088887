/** `/beamway/factors`: a person's own second factors, set up and removed. What is decided is decided in identity/second-factor. */
import {
  confirmTotp,
  enrolPasskey,
  type FactorDeps,
  factorsOf,
  issueRecoveryCodes,
  offerPasskey,
  offerTotp,
  relyingParty,
  removeFactor,
  type TotpOffer,
  totpOffer,
  totpUri,
  whatChangeNeeds,
} from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import { factorCall, fieldOf, partyOf, toldHere } from './factor-pages.ts';
import { backOf, FACTORS_PATH, RECOVERY_PATH, SCRIPT_PATH, withReturn } from './factor-return.ts';
import { manageView, offerView, recoveryCodesView, recoveryOfferView } from './factor-views.ts';
import { document, type Html, html, type Page, type PageAnswer, type PageCall } from './page.ts';
import { places } from './places.ts';

export function factorManagePages(deps: FactorDeps): readonly Page[] {
  return [
    {
      id: 'factor.manage',
      method: 'GET',
      path: FACTORS_PATH,
      needs: 'session',
      audit: false,
      handle: (call) => manage(deps, call, undefined),
    },
    {
      id: 'factor.remove',
      method: 'POST',
      path: `${FACTORS_PATH}/remove`,
      needs: 'session',
      audit: true,
      handle: (call) =>
        orManage(deps, call, async () => {
          await removeFactor(deps, factorCall(call), call.form['id'] ?? '');
          return { kind: 'redirect', to: withReturn(FACTORS_PATH, call) };
        }),
    },
    {
      id: 'factor.offer-app',
      method: 'POST',
      path: `${FACTORS_PATH}/app`,
      needs: 'session',
      audit: false,
      handle: (call) =>
        orManage(deps, call, async () => showOffer(call, await offerTotp(deps, factorCall(call)), undefined)),
    },
    {
      id: 'factor.enrol-app',
      method: 'POST',
      path: `${FACTORS_PATH}/app/confirm`,
      needs: 'session',
      audit: true,
      handle: (call) => orManage(deps, call, () => confirm(deps, call)),
    },
    {
      id: 'factor.offer-passkey',
      method: 'POST',
      path: `${FACTORS_PATH}/passkey/begin`,
      needs: 'session',
      audit: false,
      handle: async (call) => ({
        kind: 'json',
        status: 200,
        body: await offerPasskey(deps, factorCall(call), partyOf(call)),
      }),
    },
    {
      id: 'factor.enrol-passkey',
      method: 'POST',
      path: `${FACTORS_PATH}/passkey/finish`,
      needs: 'session',
      audit: true,
      async handle(call) {
        const given = { party: partyOf(call), response: fieldOf(call.json, 'response'), name: call.form['name'] };
        await enrolPasskey(deps, factorCall(call), given);
        return { kind: 'json', status: 200, body: { to: await afterEnrolment(deps, call) } };
      },
    },
    {
      id: 'factor.offer-recovery',
      method: 'GET',
      path: RECOVERY_PATH,
      needs: 'session',
      audit: false,
      handle: (call) => page(call, 'Recovery codes', { body: recoveryOfferView(call, call.query['first'] === 'yes') }),
    },
    {
      id: 'factor.issue-recovery',
      method: 'POST',
      path: RECOVERY_PATH,
      needs: 'session',
      audit: true,
      handle: (call) =>
        orManage(deps, call, async () =>
          page(call, 'Your recovery codes', {
            body: recoveryCodesView(call, await issueRecoveryCodes(deps, factorCall(call))),
          }),
        ),
    },
  ];
}

async function confirm(deps: FactorDeps, call: PageCall): Promise<PageAnswer> {
  const of = factorCall(call);
  const id = call.form['id'] ?? '';
  try {
    await confirmTotp(deps, of, { id, code: call.form['code'] ?? '', name: call.form['name'] });
  } catch (thrown) {
    const problem = toldHere(thrown);
    return showOffer(call, await totpOffer(deps, of, id), problem);
  }
  return { kind: 'redirect', to: await afterEnrolment(deps, call) };
}

/** Whoever has a factor and no recovery codes is led to them. */
async function afterEnrolment(deps: FactorDeps, call: PageCall): Promise<string> {
  const factors = await factorsOf(deps.db, factorCall(call).session.subject);
  return factors.some((f) => f.method === 'recovery-code')
    ? backOf(call)
    : withReturn(`${RECOVERY_PATH}?first=yes`, call);
}

function showOffer(call: PageCall, offer: TotpOffer, problem: Problem | undefined): PageAnswer {
  const uri = totpUri(offer.secret, { subject: factorCall(call).session.subject, host: new URL(call.origin).host });
  const body = offerView(call, { offer, uri, name: call.form['name'] ?? '', error: problem?.message });
  return page(call, 'Add an authenticator app', { body, status: problem?.status });
}

/** What may not be done now is told on the page that says how it may. */
async function orManage(deps: FactorDeps, call: PageCall, work: () => Promise<PageAnswer>): Promise<PageAnswer> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof Problem && ['refused', 'conflict', 'not-found'].includes(thrown.code))
      return manage(deps, call, thrown);
    throw thrown;
  }
}

async function manage(deps: FactorDeps, call: PageCall, problem: Problem | undefined): Promise<PageAnswer> {
  const of = factorCall(call);
  const body = manageView(call, {
    factors: await factorsOf(deps.db, of.session.subject),
    needs: await whatChangeNeeds(deps, of),
    passkeysPossible: relyingParty(call.origin) !== undefined,
    error: problem?.message,
  });
  return page(call, 'Your second factor', { body, status: problem?.status });
}

function page(
  call: PageCall,
  title: string,
  of: { readonly body: Html; readonly status?: number | undefined },
): PageAnswer {
  const { session } = factorCall(call);
  const body = document(title, html`${of.body}${places(call, session)}`, { script: SCRIPT_PATH });
  return { kind: 'page', status: of.status ?? 200, body };
}
