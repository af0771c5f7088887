/**
 * Part of the control plane's composition root: everything that judges a request before it is handled and records it afterwards. Audit log, policy, bearers, signing
 * keys, uses and limits; each is let go of through `closers`.
 */
import { join } from 'node:path';
import { openDenialTally, type PipelineDeps, requestLimits } from './api/index.ts';
import { openAuditKeys, openAuditLog } from './audit/index.ts';
import type { Clock } from './clock.ts';
import type { Closer } from './closer.ts';
import { type DatabaseLog, type DatabaseTarget, openDatabase, type Queries } from './database/index.ts';
import {
  type Caller,
  isOutsidePurpose,
  openAuthority,
  openSigningKeys,
  openTokenUse,
  openTokenVerifier,
} from './identity/index.ts';
import {
  type Action,
  type Circumstances,
  databaseSource,
  openLeases,
  openPolicy,
  policyAlarms,
  recordPolicyLoad,
} from './policy/index.ts';
import type { FacilityFolder } from './read-facility.ts';

export interface GateParts {
  readonly db: Queries;
  readonly target: DatabaseTarget;
  readonly stateDir: string;
  readonly folder: FacilityFolder;
  readonly clock: Clock;
  readonly log: DatabaseLog;
}

export type Gate = Awaited<ReturnType<typeof openGate>>;

export async function openGate(parts: GateParts, closers: Closer[]) {
  const { db, clock, log, folder, stateDir } = parts;
  // Its own connections: a transaction that waits for its record must never hold the one that the record needs.
  const auditDatabase = openDatabase(parts.target, { clock, log, maxConnections: 2 });
  closers.push(() => auditDatabase.close());
  const audit = openAuditLog(auditDatabase.kysely);
  const auditFolder = join(stateDir, 'audit');
  const { signer, trusted, publicKeyPem } = openAuditKeys(auditFolder);
  const policy = openPolicy(folder.policySet, log, policyAlarms({ audit, clock, log }));
  // Before it is in force: a set nobody recorded never decides.
  await recordPolicyLoad(audit, clock, folder.policySet);
  const leases = openLeases({
    source: databaseSource(db),
    clock,
    log,
    shareWhenAway: folder.limitRules.withoutDatabase.share,
  });
  closers.push(() => leases.close());
  const denials = openDenialTally(audit, clock);
  closers.push(async () => {
    denials.stop();
    await denials.flush().catch((cause: unknown) => log.warn({ err: cause }, 'denials could not be written'));
    await audit.flush();
  });
  // Its own connection: while the epoch waits for one, everybody is refused.
  const epochDatabase = openDatabase(parts.target, {
    clock,
    log,
    maxConnections: 1,
    applicationName: 'beamway-epoch',
  });
  closers.push(() => epochDatabase.close());
  const verifier = await openTokenVerifier(db, clock, { settled: folder.people.roles, epochDb: epochDatabase.kysely });
  closers.push(() => verifier.stop());
  const sealFile = join(stateDir, 'keys', 'signing-keys.json');
  const keys = await openSigningKeys({ db, clock, sealFile, log });
  closers.push(() => keys.stop());
  const authority = await openAuthority({ db, clock, facility: folder.facility.name, sealFile });
  const tokenUse = openTokenUse({ db, clock, rules: folder.tokenRules, log });
  closers.push(() => tokenUse.stop());
  const withinPurpose = (caller: Caller, action: Action): boolean =>
    !isOutsidePurpose(folder.tokenRules, caller, action);
  const pipeline: PipelineDeps = {
    db,
    clock,
    verifier,
    tokenUse,
    withinPurpose,
    policy,
    audit,
    limits: requestLimits({ rules: folder.limitRules, leases, clock }),
    denials,
    log,
  };
  return {
    audit,
    policy,
    verifier,
    keys,
    authority,
    tokenUse,
    withinPurpose,
    pipeline,
    seal: { db, clock, audit, signer, file: join(auditFolder, 'checkpoints.jsonl') },
    auditKeys: { trusted, publicKeyPem },
    circumstances: (caller: Caller, action: Action): Circumstances => ({
      now: clock.now(),
      lockdown: verifier.lockedDown(),
      withinPurpose: withinPurpose(caller, action),
    }),
  };
}
