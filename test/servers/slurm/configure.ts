/**
 * Writes everything a Slurm on one machine needs into its folder: configuration, keys, owners. Keys and ports are made once and kept, so that a restart finds what it left.
 * Why each setting stands there: reference notes in slurm.conf's own comments.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../../src/free-ports.ts';

export interface SlurmPlan {
  readonly dir: string;
  readonly cluster: string;
  readonly nodes: number;
  readonly slotsPerNode: number;
  /** Also the hold-off of a requeued job; Slurm's default is 120. */
  readonly credExpireSeconds: number;
  readonly killWaitSeconds: number;
  readonly users: readonly string[];
  /** System users of the agent; members of each user's private group. */
  readonly operators: readonly string[];
}

export interface SlurmPorts {
  readonly ctld: number;
  readonly dbd: number;
  readonly rest: number;
  readonly nodes: readonly number[];
}

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
}

/** Throws where there is no such user. */
export function unixUser(name: string): UnixUser {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((l) => l.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`no Unix user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}

export function ensureUser(name: string, more: readonly string[]): UnixUser {
  try {
    return unixUser(name);
  } catch {
    execFileSync('/usr/sbin/useradd', [...more, name]);
    return unixUser(name);
  }
}

export async function configure(plan: SlurmPlan): Promise<SlurmPorts> {
  const { dir } = plan;
  const at = (...path: string[]): string => join(dir, ...path);
  for (const folder of ['etc', 'log', 'run', 'pids', 'munge', 'mysql', 'ctld', 'spool', 'home', 'rest'])
    mkdirSync(at(folder), { recursive: true, mode: 0o755 });
  chmodSync(dir, 0o755);
  const own = (path: string, user: UnixUser, mode: number): void => {
    chownSync(path, user.uid, user.gid);
    chmodSync(path, mode);
  };
  const [munge, mysql, slurm] = [unixUser('munge'), unixUser('mysql'), unixUser('slurm')];
  own(at('munge'), munge, 0o711);
  own(at('mysql'), mysql, 0o700);
  own(at('ctld'), slurm, 0o700);
  for (const open of ['log', 'run']) chmodSync(at(open), 0o1777);
  own(at('rest'), ensureUser('slurmrestd', ['-r', '-M', '-s', '/usr/sbin/nologin', '-d', '/nonexistent']), 0o755);
  for (const name of plan.users) {
    const user = ensureUser(name, ['-M', '-s', '/bin/sh', '-d', '/nonexistent']);
    mkdirSync(at('home', name), { recursive: true, mode: 0o700 });
    own(at('home', name), user, 0o700);
  }
  for (const operator of plan.operators) {
    ensureUser(operator, ['-r', '-M', '-s', '/usr/sbin/nologin', '-d', '/nonexistent']);
    for (const group of plan.users) execFileSync('/usr/sbin/usermod', ['-a', '-G', group, operator]);
  }
  const secret = (name: string, bytes: number, user: UnixUser): void => {
    if (!existsSync(at('etc', name))) writeFileSync(at('etc', name), randomBytes(bytes), { mode: 0o600 });
    own(at('etc', name), user, 0o600);
  };
  secret('munge.key', 128, munge);
  secret('jwt_hs256.key', 32, slurm);
  const ports = await keptPorts(at('ports.json'), plan.nodes);
  writeFileSync(at('etc', 'slurm.conf'), slurmConf(plan, ports));
  writeFileSync(at('etc', 'slurmdbd.conf'), slurmdbdConf(plan, ports), { mode: 0o600 });
  own(at('etc', 'slurmdbd.conf'), slurm, 0o600);
  writeFileSync(at('etc', 'my.cnf'), myCnf(dir));
  return ports;
}

/** Ports once given stay; nodes that came since get more, and those that went leave theirs behind. */
async function keptPorts(path: string, nodes: number): Promise<SlurmPorts> {
  const kept = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as SlurmPorts) : undefined;
  const known = kept === undefined ? [] : [kept.ctld, kept.dbd, kept.rest, ...kept.nodes];
  const taken = [...known, ...(await freePorts(Math.max(0, nodes + 3 - known.length)))];
  const [ctld = 0, dbd = 0, rest = 0, ...others] = taken;
  if (taken.length > known.length) writeFileSync(path, JSON.stringify({ ctld, dbd, rest, nodes: others }));
  return { ctld, dbd, rest, nodes: others.slice(0, nodes) };
}

function slurmConf(plan: SlurmPlan, ports: SlurmPorts): string {
  const { dir, cluster } = plan;
  const host = hostname().split('.')[0] ?? 'localhost';
  const nodes = ports.nodes
    .map((port, i) => `NodeName=n${i + 1} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port}`)
    .join('\n');
  return `# Written by test/servers/slurm. One machine, loopback only.
ClusterName=${cluster}
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${ports.ctld}
SlurmUser=slurm
AuthType=auth/munge
# cred_expire also is the hold-off of a requeued job
AuthInfo=socket=${dir}/munge/munge.socket,cred_expire=${plan.credExpireSeconds}
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=${dir}/etc/jwt_hs256.key
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=${dir}/ctld
SlurmctldPidFile=${dir}/run/slurmctld.pid
SlurmctldLogFile=${dir}/log/slurmctld.log
SlurmdSpoolDir=${dir}/spool/%n
SlurmdPidFile=${dir}/run/slurmd.%n.pid
SlurmdLogFile=${dir}/log/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=info
LogTimeFormat=iso8601_ms
# no cgroups here
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=10
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
# CPUs as declared, not as found
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=${ports.dbd}
# without it sacctmgr and slurmctld look for the machine's own munge when they talk to slurmdbd
AccountingStoragePass=${dir}/munge/munge.socket
AccountingStorageEnforce=associations,limits,qos,safe
AccountingStoreFlags=job_comment
JobRequeue=1
PreemptType=preempt/qos
PreemptMode=REQUEUE
PreemptExemptTime=00:00:00
PriorityType=priority/multifactor
PriorityWeightQOS=100000
PriorityWeightAge=1000
PriorityMaxAge=1-0
PriorityWeightFairshare=1000
PriorityWeightJobSize=0
PriorityCalcPeriod=00:01:00
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1,bf_continue,bf_max_job_test=500,preempt_youngest_first
KillWait=${plan.killWaitSeconds}
CompleteWait=0
MinJobAge=300
SlurmctldTimeout=60
SlurmdTimeout=60
InactiveLimit=0
MessageTimeout=10
BatchStartTimeout=10
UnkillableStepTimeout=60
NodeName=DEFAULT CPUs=${plan.slotsPerNode} Boards=1 Sockets=1 CoresPerSocket=${plan.slotsPerNode} ThreadsPerCore=1 RealMemory=2000 State=UNKNOWN
${nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=1-0 DefaultTime=00:10:00 State=UP OverSubscribe=NO
`;
}

function slurmdbdConf({ dir }: SlurmPlan, ports: SlurmPorts): string {
  return `AuthType=auth/munge
AuthInfo=socket=${dir}/munge/munge.socket
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=${dir}/etc/jwt_hs256.key
DbdHost=${hostname().split('.')[0] ?? 'localhost'}
DbdAddr=127.0.0.1
# not in its manual page, and yet what keeps it off other addresses
CommunicationParameters=NoInAddrAny
DbdPort=${ports.dbd}
SlurmUser=slurm
PidFile=${dir}/run/slurmdbd.pid
LogFile=${dir}/log/slurmdbd.log
DebugLevel=info
LogTimeFormat=iso8601_ms
StorageType=accounting_storage/mysql
# the unix socket, by MYSQL_UNIX_PORT in its environment
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct
TrackWCKey=no
`;
}

function myCnf(dir: string): string {
  return `[mysqld]
datadir=${dir}/mysql
socket=${dir}/run/mysqld.sock
pid-file=${dir}/run/mysqld.pid
log-error=${dir}/log/mysqld.log
user=mysql
skip-networking
skip-name-resolve
skip-log-bin
performance_schema=OFF
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_lock_wait_timeout=900
innodb_flush_log_at_trx_commit=2
max_allowed_packet=16M
max_connections=40
`;
}
