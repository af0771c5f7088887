/**
 * The rules of `beamway slurm check`, one table: what is read, when it is worth a word, what it costs or risks, what we would write. Pure. Numbers are ours, measured on
 * Slurm 22.05.8 on one machine with 8 nodes, where the text says "measured"; all else is from Slurm's manual or from reading it, and not measured.
 */
import { parameter, parameterNumber, release, type Site, setting, settingSeconds, wordsOf } from './site.ts';

export type Severity = 'risk' | 'seconds' | 'note';

export interface Rule {
  readonly id: string;
  readonly severity: Severity;
  /** The setting, as Slurm spells it. */
  readonly reads: string;
  readonly why: string;
  /** What we would write in its place. */
  readonly write: string;
  /** What stands there, where it is worth a word. */
  readonly found: (site: Site) => string | undefined;
}

const says = (site: Site, name: string): string => `${name}=${setting(site, name) || '(nothing)'}`;
const when = (condition: boolean, found: string): string | undefined => (condition ? found : undefined);

function longer(name: string, most: number): Rule['found'] {
  return (site) => when((settingSeconds(site, name) ?? 0) > most, says(site, name));
}

function schedulerNumber(name: string, without: number, most: number): Rule['found'] {
  return (site) => {
    const value = parameterNumber(site, 'SchedulerParameters', { name, without });
    if (value === undefined || (value >= 0 && value <= most)) return undefined;
    return `${name}=${value}${parameter(site, 'SchedulerParameters', name) === undefined ? ' (default)' : ''}`;
  };
}

const ENFORCED: readonly (readonly [string, readonly string[]])[] = [
  ['associations', ['associations', 'limits', 'qos', 'safe', 'wckeys', 'all']],
  ['limits', ['limits', 'safe', 'all']],
  ['qos', ['qos', 'all']],
  ['safe', ['safe', 'all']],
];

function unenforced(site: Site): string | undefined {
  const has = new Set(wordsOf(setting(site, 'AccountingStorageEnforce').toLowerCase()));
  const missing = ENFORCED.filter(([, by]) => !by.some((w) => has.has(w))).map(([name]) => name);
  return when(missing.length > 0, `${says(site, 'AccountingStorageEnforce')}, lacks ${missing.join(', ')}`);
}

const modes = (site: Site): readonly string[] => wordsOf(setting(site, 'PreemptMode').toUpperCase());

function unordered(site: Site): string | undefined {
  const rank = new Map((site.qos ?? []).map((q) => [q.name, q.priority]));
  const odd = (site.qos ?? []).flatMap((q) =>
    q.preempts.filter((v) => (rank.get(v) ?? -1) >= q.priority).map((v) => `${q.name} over ${v}`),
  );
  return when(odd.length > 0, odd.join('; '));
}

function lackingDefault(site: Site): string | undefined {
  const odd = (site.associations ?? []).filter((a) => a.defaultQos !== '' && !a.qos.includes(a.defaultQos));
  const shown = odd.slice(0, 5).map((a) => `${a.account}/${a.user || '*'} has default ${a.defaultQos}`);
  return when(odd.length > 0, `${shown.join('; ')}${odd.length > 5 ? ` and ${odd.length - 5} more` : ''}`);
}

export const RULES: readonly Rule[] = [
  {
    id: 'enforce',
    severity: 'risk',
    reads: 'AccountingStorageEnforce',
    why: 'What is not enforced, users may exceed: without associations anybody submits to any account, without qos to any QoS (urgent ones too), without limits no limit holds, without safe a job starts that its limit will kill.',
    write: 'AccountingStorageEnforce=associations,limits,qos,safe',
    found: unenforced,
  },
  {
    id: 'preempt-type',
    severity: 'risk',
    reads: 'PreemptType',
    why: 'QoS preempt nobody: an urgent job waits until running ones end by themselves.',
    write: 'PreemptType=preempt/qos',
    found: (site) => when(setting(site, 'PreemptType').toLowerCase() !== 'preempt/qos', says(site, 'PreemptType')),
  },
  {
    id: 'preempt-mode',
    severity: 'risk',
    reads: 'PreemptMode',
    why: 'OFF lets nobody be preempted, and SUSPEND or GANG alone is no whole setting: Slurm wants them together.',
    write: 'PreemptMode=REQUEUE',
    found: (site) => {
      const has = new Set(modes(site));
      const off = has.size === 0 || has.has('OFF');
      return when(off || has.has('SUSPEND') !== has.has('GANG'), says(site, 'PreemptMode'));
    },
  },
  {
    id: 'preempt-suspend',
    severity: 'risk',
    reads: 'PreemptMode',
    why: 'Suspending works only between partitions of different PriorityTier with OverSubscribe=FORCE:1 on both. In one partition the window job itself was suspended or waited; with OverSubscribe=NO on both, both ran on the same CPUs (measured on 22.05.8). Suspended jobs keep their memory.',
    write: 'PreemptMode=REQUEUE, or partitions as described',
    found: (site) => when(modes(site).includes('SUSPEND') && modes(site).includes('GANG'), says(site, 'PreemptMode')),
  },
  {
    id: 'job-requeue',
    severity: 'risk',
    reads: 'JobRequeue',
    why: 'A preempted job, or one whose node fails, is not run again unless it asked for it with --requeue.',
    write: 'JobRequeue=1',
    found: (site) => when(setting(site, 'JobRequeue') === '0', says(site, 'JobRequeue')),
  },
  {
    id: 'qos-preempts-none',
    severity: 'risk',
    reads: 'sacctmgr show qos: Preempt',
    why: 'No QoS names another one to preempt, so PreemptType=preempt/qos does nothing.',
    write: 'sacctmgr modify qos urgent set preempt=batch,interactive',
    found: (site) =>
      when(site.qos?.every((q) => q.preempts.length === 0) === true, `${site.qos?.length ?? 0} QoS, none preempts`),
  },
  {
    id: 'qos-order',
    severity: 'note',
    reads: 'sacctmgr show qos: Priority, Preempt',
    why: 'A QoS preempts one of the same or a higher priority: the victim may take its place back.',
    write: 'a higher priority for the QoS that preempts',
    found: unordered,
  },
  {
    id: 'qos-grace',
    severity: 'seconds',
    reads: 'sacctmgr show qos: GraceTime',
    why: 'Victims keep their nodes for the grace time and up to a coarse tick more: 6 s became 11 s (measured on 22.05.8). SIGTERM at its start goes to steps, not to the batch script.',
    write: 'sacctmgr modify qos NAME set gracetime=0 for those that time-critical jobs preempt',
    found: (site) => {
      const slow = (site.qos ?? []).filter((q) => q.graceSeconds > 0);
      return when(slow.length > 0, slow.map((q) => `${q.name} ${q.graceSeconds} s`).join(', '));
    },
  },
  {
    id: 'default-qos',
    severity: 'risk',
    reads: 'sacctmgr show assoc: QOS, Def QOS',
    why: 'The default QoS is not among those allowed: a job that names none is refused (seen on 22.05.8, where users may set it themselves).',
    write: 'sacctmgr modify user NAME set defaultqos=ONE_OF_ITS_QOS',
    found: lackingDefault,
  },
  {
    id: 'priority-type',
    severity: 'risk',
    reads: 'PriorityType',
    why: 'The queue goes by time of submission; the priority of a QoS moves nothing.',
    write: 'PriorityType=priority/multifactor',
    found: (site) =>
      when(setting(site, 'PriorityType').toLowerCase() !== 'priority/multifactor', says(site, 'PriorityType')),
  },
  {
    id: 'priority-qos',
    severity: 'risk',
    reads: 'PriorityWeightQOS',
    why: 'With weight 0 the priority of a QoS counts for nothing in the queue; an urgent job stands behind old ones.',
    write: 'PriorityWeightQOS=100000, above the other weights together',
    found: (site) => when((settingSeconds(site, 'PriorityWeightQOS') ?? 0) === 0, says(site, 'PriorityWeightQOS')),
  },
  {
    id: 'kill-wait',
    severity: 'seconds',
    reads: 'KillWait',
    why: 'A preempted or cancelled job that ignores SIGTERM keeps its nodes so long: 32.5 s with 30, 4.8 to 5.7 s with 1 or 2 (measured on 22.05.8). Below 2 gains nothing.',
    write: 'KillWait=2',
    found: longer('KillWait', 5),
  },
  {
    id: 'cred-expire',
    severity: 'seconds',
    reads: 'AuthInfo: cred_expire',
    why: 'A requeued job waits so long before it may start again; 6 s with 5 (measured on 22.05.8), 120 s by default (manual). It is also how long a job may take to be launched, prolog included.',
    write: 'AuthInfo=cred_expire=30, with what stands there already; more where prologs are slow',
    found: (site) => {
      const value = parameterNumber(site, 'AuthInfo', { name: 'cred_expire', without: 120 });
      return when(value !== undefined && value > 60, `cred_expire=${value}`);
    },
  },
  {
    id: 'sched-interval',
    severity: 'seconds',
    reads: 'SchedulerParameters: sched_interval',
    why: 'How often the main loop tests the whole queue; sbatch waits for it. With this, bf_interval and batch_sched_delay at their defaults an urgent 2-node job ran 1.5 to 2.6 s after its submission into a full cluster, tuned 0.15 to 0.88 s; on idle nodes 2.6 s against 0.2 to 0.3 s at the median (measured on 22.05.8, the three together). -1 turns it off.',
    write: 'sched_interval=1; more where the queue is very long',
    found: schedulerNumber('sched_interval', 60, 10),
  },
  {
    id: 'bf-interval',
    severity: 'seconds',
    reads: 'SchedulerParameters: bf_interval',
    why: 'How often backfill looks; what it alone can start waits so long. Its share was not measured apart, see sched-interval. -1 turns it off.',
    write: 'bf_interval=1; more where the queue is very long',
    found: schedulerNumber('bf_interval', 30, 10),
  },
  {
    id: 'batch-sched-delay',
    severity: 'seconds',
    reads: 'SchedulerParameters: batch_sched_delay',
    why: 'Each batch job may be held back so long at its submission. See sched-interval for what the three cost together.',
    write: 'batch_sched_delay=0',
    found: schedulerNumber('batch_sched_delay', 3, 0),
  },
  {
    id: 'sched-min-interval',
    severity: 'seconds',
    reads: 'SchedulerParameters: sched_min_interval',
    why: 'Microseconds between two runs of the main loop; beyond a tenth of a second it delays every start.',
    write: 'sched_min_interval=0',
    found: schedulerNumber('sched_min_interval', 2, 100_000),
  },
  {
    id: 'defer',
    severity: 'seconds',
    reads: 'SchedulerParameters: defer',
    why: 'No job is tried at its submission, not even by srun, which else starts in some 10 ms on idle nodes (measured on 22.05.8 without defer).',
    write: 'SchedulerParameters without defer',
    found: (site) => when(parameter(site, 'SchedulerParameters', 'defer') !== undefined, 'defer'),
  },
  {
    id: 'bf-continue',
    severity: 'seconds',
    reads: 'SchedulerParameters: bf_continue',
    why: 'Without it backfill begins anew whenever something changes, and on a busy cluster may never reach the end of the queue.',
    write: 'bf_continue in SchedulerParameters',
    found: (site) =>
      when(
        setting(site, 'SchedulerType').toLowerCase() === 'sched/backfill' &&
          parameter(site, 'SchedulerParameters', 'bf_continue') === undefined,
        'no bf_continue',
      ),
  },
  {
    id: 'over-time-limit',
    severity: 'seconds',
    reads: 'OverTimeLimit',
    why: 'Minutes that a job may run beyond its limit: windows and maintenance begin so much later.',
    write: 'OverTimeLimit=0',
    found: (site) => when(!/^0( min)?$/.test(setting(site, 'OverTimeLimit') || '0'), says(site, 'OverTimeLimit')),
  },
  {
    id: 'slurmd-timeout',
    severity: 'seconds',
    reads: 'SlurmdTimeout',
    why: 'A node that died is called down, and its jobs run again, only after so long. Not measured.',
    write: 'SlurmdTimeout=120',
    found: longer('SlurmdTimeout', 180),
  },
  {
    id: 'slurmctld-timeout',
    severity: 'seconds',
    reads: 'SlurmctldTimeout',
    why: 'How long a backup controller waits before it takes over; no job starts meanwhile. Not measured.',
    write: 'SlurmctldTimeout=60',
    found: longer('SlurmctldTimeout', 120),
  },
  {
    id: 'inactive-limit',
    severity: 'risk',
    reads: 'InactiveLimit',
    why: 'An interactive allocation whose salloc or srun is silent so long is ended.',
    write: 'InactiveLimit=0',
    found: longer('InactiveLimit', 0),
  },
  {
    id: 'min-job-age',
    severity: 'risk',
    reads: 'MinJobAge',
    why: 'slurmctld forgets an ended job after so long. Below a minute, jobs are gone before a restarted agent has read how they ended.',
    write: 'MinJobAge=300',
    found: (site) => when((settingSeconds(site, 'MinJobAge') ?? 300) < 60, says(site, 'MinJobAge')),
  },
  {
    id: 'min-job-age-long',
    severity: 'note',
    reads: 'MinJobAge',
    why: 'Ended jobs stay in every listing so long: a few hundred made 1.5 MB and 90 ms each (measured on 22.05.8 through slurmrestd).',
    write: 'MinJobAge=300',
    found: longer('MinJobAge', 900),
  },
  {
    id: 'job-comment',
    severity: 'risk',
    reads: 'AccountingStoreFlags',
    why: 'The comment, which says whose job of ours it is, is not kept in accounting: a job that slurmctld has forgotten cannot be told apart there.',
    write: 'AccountingStoreFlags=job_comment',
    found: (site) =>
      when(
        !wordsOf(setting(site, 'AccountingStoreFlags').toLowerCase()).includes('job_comment'),
        says(site, 'AccountingStoreFlags'),
      ),
  },
  {
    id: 'jwt',
    severity: 'note',
    reads: 'AuthAltTypes',
    why: 'Without auth/jwt slurmrestd cannot be asked as the job’s user; the agent then needs `become` and the command line for everything.',
    write: 'AuthAltTypes=auth/jwt, AuthAltParameters=jwt_key=FILE',
    found: (site) =>
      when(!wordsOf(setting(site, 'AuthAltTypes').toLowerCase()).includes('auth/jwt'), says(site, 'AuthAltTypes')),
  },
  {
    id: 'jwt-key',
    severity: 'risk',
    reads: 'mode of the file that AuthAltParameters names as jwt_key',
    why: 'Whoever reads this file is every user of the cluster, root included.',
    write: 'chmod 0600, owner slurm; the signer gets a copy of its own',
    found: (site) =>
      when(
        site.jwtKeyMode !== undefined && (site.jwtKeyMode & 0o077) !== 0,
        `mode ${((site.jwtKeyMode ?? 0) & 0o777).toString(8).padStart(4, '0')}`,
      ),
  },
  {
    id: 'state-save',
    severity: 'risk',
    reads: 'file system of StateSaveLocation',
    why: 'It is in memory: a reboot of the controller loses every job and gives their numbers out again.',
    write: 'StateSaveLocation on a disk, shared with the backup controller',
    found: (site) => when(site.stateFilesystem === 'memory', says(site, 'StateSaveLocation')),
  },
  {
    id: 'proctrack',
    severity: 'risk',
    reads: 'ProctrackType',
    why: 'Processes that leave their parent’s tree or group are not seen: they run on after their job was preempted, beside its successor.',
    write: 'ProctrackType=proctrack/cgroup',
    found: (site) =>
      when(/^proctrack\/(linuxproc|pgid)$/i.test(setting(site, 'ProctrackType')), says(site, 'ProctrackType')),
  },
  {
    id: 'propagate-limits',
    severity: 'note',
    reads: 'PropagateResourceLimits',
    why: 'Limits of the process that submits (open files, memory, core size) become the job’s; ours are those of a daemon.',
    write: 'PropagateResourceLimits=NONE',
    found: (site) => {
      const value = setting(site, 'PropagateResourceLimits').toUpperCase();
      // With exceptions named, the setting itself is absent.
      return when(value !== 'NONE' && value !== '', says(site, 'PropagateResourceLimits'));
    },
  },
  {
    id: 'max-array',
    severity: 'note',
    reads: 'MaxArraySize',
    why: 'The highest number of an array’s task is one less; a larger array is refused.',
    write: 'MaxArraySize=10001, MaxJobCount well above',
    found: (site) => when((settingSeconds(site, 'MaxArraySize') ?? 1001) <= 1001, says(site, 'MaxArraySize')),
  },
  {
    id: 'private-data',
    severity: 'note',
    reads: 'PrivateData',
    why: 'Hidden from everybody but Operators and coordinators: the agent’s user must have AdminLevel Operator, or it takes the jobs of others for lost.',
    write: 'nothing to change; sacctmgr modify user beamway-slurm set adminlevel=operator',
    found: (site) => when(!/^(none)?$/i.test(setting(site, 'PrivateData')), says(site, 'PrivateData')),
  },
  {
    id: 'rest',
    severity: 'risk',
    reads: 'slurmrestd, where --rest names it',
    why: 'It does not answer: the agent cannot submit through it.',
    write: 'SLURM_JWT=daemon slurmrestd -a rest_auth/jwt HOST:PORT, as a user of its own',
    found: (site) => site.rest?.fault,
  },
  {
    id: 'window-gate',
    severity: 'note',
    reads: 'Slurm’s version',
    why: 'Before 24.11 a reservation without nodes is no gate for a QoS: with 8 jobs waiting, 4 of 8 two-node and 8 of 8 four-node window jobs never started in 30 s while they killed others (measured on 22.05.8). Beamway grants and withdraws QoS instead. 24.11 says that it mends this; not tried by us.',
    write: 'nothing',
    found: (site) => when((release(site) ?? 99) < 24.11, says(site, 'SLURM_VERSION')),
  },
];
