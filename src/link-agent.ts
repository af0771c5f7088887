/**
 * The verb `admin slurm-link`: makes the bearer of a cluster's Slurm agent and its link.json, by whoever owns the state folder, running or not. In the audit log before the
 * bearer exists. RFD 4.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { CommandError } from '../clients/typescript/src/cli/index.ts';
import { openAuditLog } from './audit/index.ts';
import { systemClock } from './clock.ts';
import { migrate, openDatabase, type Queries, silentLog } from './database/index.ts';
import { nameSchema } from './facility/index.ts';
import { newId } from './id.ts';
import { clusterOfAgent, issueAgentBearer, revokeToken, systemCaller, tokensPage } from './identity/index.ts';
import { MIGRATIONS } from './migrations.ts';
import { withDatabaseOf } from './reach-database.ts';
import { isSafeUrl, type LinkFile } from './slurm/contract/index.ts';

export interface AgentLinkWish {
  readonly stateDir: string;
  readonly cluster: string;
  /** Each replica's own address, separated by commas. */
  readonly urls: string;
  readonly lifetimeSeconds: number;
  /** Revokes the bearers that this agent had before. */
  readonly replace: boolean;
  /** Where link.json goes, mode 0600; absent: nowhere. */
  readonly to?: string;
}

export interface MadeAgentLink {
  readonly file: LinkFile;
  readonly id: string;
  readonly expiresAt: string;
  /** Ids of the bearers that hold no more. */
  readonly revoked: readonly string[];
}

const VERB = 'admin slurm-link';
const PAGE = 1000;

/** Throws CommandError where cluster or URLs are not well formed, and what `withDatabaseOf` throws. */
export function linkAgent(wish: AgentLinkWish): Promise<MadeAgentLink> {
  const { cluster, lifetimeSeconds } = wish;
  const urls = wish.urls.split(',').map((url) => url.trim());
  if (!nameSchema.safeParse(cluster).success) throw new CommandError(`--cluster: ${cluster} is no name of a cluster`);
  const unsafe = urls.find((url) => !isSafeUrl(url));
  if (unsafe !== undefined)
    throw new CommandError(
      `--url: ${unsafe} is neither https nor http on a loopback address: the bearer would travel in the clear`,
    );
  if (urls.length > 16) throw new CommandError('--url: at most 16');
  return withDatabaseOf(wish.stateDir, async ({ target }) => {
    await migrate(target, MIGRATIONS, { clock: systemClock, log: silentLog });
    const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 2 });
    try {
      const db = database.kysely;
      const audit = openAuditLog(db);
      const requestId = newId('req');
      const record = (phase: 'intent' | 'outcome', resource: string, detail: object): Promise<void> =>
        audit.append({
          at: new Date(systemClock.now()),
          requestId,
          phase,
          callerKind: 'system',
          callerId: VERB,
          subject: userInfo().username,
          project: null,
          action: 'admin.slurm-link',
          resource,
          status: null,
          detail: { cluster, urls, lifetimeSeconds, ...detail },
        });
      const earlier = wish.replace ? await bearersOf(db, cluster) : [];
      await record('intent', `cluster/${cluster}`, { revokes: earlier });
      const { token, value } = await issueAgentBearer(
        { db, clock: systemClock },
        { cluster, lifetimeSeconds, by: VERB },
      );
      const file = { urls, bearer: value };
      if (wish.to !== undefined) writeOwn(wish.to, `${JSON.stringify(file, null, 2)}\n`);
      // The agent reads the new one before its next dial. Running replicas see the revocations at their next epoch read.
      const verifier = { refresh: async () => undefined };
      for (const id of earlier) await revokeToken({ db, clock: systemClock, verifier }, systemCaller(VERB), id);
      await record('outcome', `token/${token.id}`, { revoked: earlier });
      return { file, id: token.id, expiresAt: token.expiresAt.toISOString(), revoked: earlier };
    } finally {
      await database.close();
    }
  });
}

async function bearersOf(db: Queries, cluster: string): Promise<readonly string[]> {
  const found: string[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await tokensPage(db, { kind: 'node', limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const token of page) if (token.revokedAt === null && clusterOfAgent(token) === cluster) found.push(token.id);
    if (page.length < PAGE) return found;
    after = page.at(-1)?.id;
  }
}

function writeOwn(path: string, text: string): void {
  // 'wx': no link of somebody else's is followed, and no file with another mode is written into.
  writeFileSync(`${path}.new`, text, { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.new`, path);
}
