/**
 * QoS, accounts and users of the test cluster: one account and one Unix user a project, one QoS a tier. One sacctmgr session over stdin, as each of its RPCs takes 90 ms.
 * Its exit code says little (1 for "nothing new"), so what came of it is read back.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface SlurmTier {
  readonly name: string;
  readonly priority: number;
  readonly preempts: readonly string[];
}

export interface SlurmAccount {
  readonly account: string;
  readonly user: string;
  readonly tiers: readonly string[];
}

export async function makeAccounts(
  env: Readonly<Record<string, string>>,
  cluster: string,
  wanted: {
    readonly tiers: readonly SlurmTier[];
    readonly accounts: readonly SlurmAccount[];
    /** Unix users who get AdminLevel=Operator. */
    readonly operators: readonly string[];
  },
): Promise<void> {
  const read = await sacctmgr(env, ['-nP', 'list', 'assoc', `cluster=${cluster}`, 'format=account,user,qos']);
  const operators = wanted.operators.map((user) => ({ account: 'operators', user, tiers: [] }));
  const before = await readQos(env);
  if (isComplete(read, [...wanted.accounts, ...operators]) && isAsAsked(before, wanted.tiers)) return;
  const lines = [`add qos ${wanted.tiers.map((t) => t.name).join(',')}`];
  // First what goes, so that no step between is a loop.
  for (const { name, preempts } of wanted.tiers) {
    const gone = (before.get(name)?.preempts ?? []).filter((over) => !preempts.includes(over));
    if (gone.length > 0) lines.push(`modify qos ${name} set preempt-=${gone.join(',')}`);
  }
  for (const { name, priority, preempts } of wanted.tiers) {
    // An empty `preempt=` is taken for all of them, which then is a loop.
    const over = preempts.length === 0 ? '' : ` preempt=${preempts.join(',')}`;
    lines.push(`modify qos ${name} set priority=${priority} preemptmode=requeue gracetime=0${over}`);
  }
  for (const { account, user, tiers } of wanted.accounts)
    lines.push(
      `add account ${account} cluster=${cluster} description=project organization=beamway`,
      `modify account ${account} cluster=${cluster} set qos=${tiers.join(',')} defaultqos=${tiers[0] ?? ''}`,
      `add user ${user} cluster=${cluster} account=${account}`,
    );
  if (wanted.operators.length > 0)
    lines.push(`add account operators cluster=${cluster} description=operators organization=beamway`);
  for (const user of wanted.operators)
    lines.push(`add user ${user} cluster=${cluster} account=operators adminlevel=Operator`);
  await sacctmgr(env, ['-i'], `${lines.join('\n')}\n`);
  const after = await sacctmgr(env, ['-nP', 'list', 'assoc', `cluster=${cluster}`, 'format=account,user,qos']);
  const qos = await readQos(env);
  if (!isComplete(after, wanted.accounts) || !isAsAsked(qos, wanted.tiers))
    throw new Error(`accounts and QoS are not as asked:\n${after}${JSON.stringify([...qos])}`);
}

interface Qos {
  readonly priority: number;
  readonly preempts: readonly string[];
}

async function readQos(env: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, Qos>> {
  const text = await sacctmgr(env, ['-nP', 'list', 'qos', 'format=name,priority,preempt']);
  const rows = text.split('\n').map((line) => line.split('|'));
  return new Map(
    rows.map(([name = '', priority, over = '']) => [
      name,
      { priority: Number(priority), preempts: over === '' ? [] : over.split(',') },
    ]),
  );
}

/** Slurm lists what a QoS preempts in an order of its own. */
function isAsAsked(qos: ReadonlyMap<string, Qos>, tiers: readonly SlurmTier[]): boolean {
  return tiers.every(({ name, priority, preempts }) => {
    const found = qos.get(name);
    return found?.priority === priority && [...found.preempts].sort().join() === [...preempts].sort().join();
  });
}

function isComplete(text: string, accounts: readonly SlurmAccount[]): boolean {
  const lines = text.split('\n').map((l) => l.split('|'));
  return accounts.every(({ account, user, tiers }) =>
    lines.some(([a, u, q = '']) => a === account && u === user && tiers.every((t) => q.split(',').includes(t))),
  );
}

export async function sacctmgr(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  input = '',
): Promise<string> {
  const child = spawn('/usr/bin/sacctmgr', args, { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await once(child, 'close');
  return text;
}
