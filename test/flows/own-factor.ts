/** For tests: a person's session in which an authenticator app was just enrolled, over the parts that the server itself uses. */
import { join } from 'node:path';
import { openAuditLog } from '../../src/audit/index.ts';
import { systemClock } from '../../src/clock.ts';
import { newId } from '../../src/id.ts';
import {
  callerOf,
  confirmTotp,
  type FactorDeps,
  offerTotp,
  readFactorKeys,
  tokenById,
} from '../../src/identity/index.ts';
import { totpCode } from '../../src/identity/second-factor/factor.fixture.ts';
import type { ApiServer, Bearer } from './api-server.ts';

export interface OwnFactor {
  /** A session of an administrator, stepped up. */
  readonly session: Bearer;
  readonly factor: string;
  /** In base 32, for totpCode. */
  readonly secret: string;
}

export async function ownFactor(api: ApiServer): Promise<OwnFactor> {
  const db = api.database.kysely;
  const bearer = await api.session('administrator');
  const token = await tokenById(db, bearer.id);
  const session = token === undefined ? undefined : callerOf(token);
  if (session?.kind !== 'session') throw new Error('the session is none');
  const deps: FactorDeps = {
    db,
    clock: systemClock,
    audit: openAuditLog(db),
    keys: readFactorKeys(join(api.state, 'keys', 'factor-keys.json')),
    verifier: { refresh: () => Promise.resolve() },
  };
  const call = { session, requestId: newId('req'), remoteAddress: '127.0.0.1' };
  const { id, secret } = await offerTotp(deps, call);
  const factor = await confirmTotp(deps, call, { id, code: totpCode(secret, systemClock.now()) });
  return { session: bearer, factor, secret };
}
