// The report on a site as it comes from a configurator, on a tuned one, and what each rule looks for. The table in the docs is the rules' own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAssociationTable, parseQosTable } from './read-accounting.ts';
import { parseConf, parseShownConfig } from './read-conf.ts';
import { checkSite, hasRisk, reportText, ruleTable } from './report.ts';
import { RULES } from './rules.ts';
import type { Site } from './site.ts';

const DEFAULT_LIKE = `# from the configurator
ClusterName=cluster
SlurmctldHost=linux0
AuthType=auth/munge
ProctrackType=proctrack/cgroup
ReturnToService=1
StateSaveLocation=/var/spool/slurmctld
SlurmUser=slurm
TaskPlugin=task/affinity,task/cgroup
InactiveLimit=0
KillWait=30
MinJobAge=300
SlurmctldTimeout=120
SlurmdTimeout=300
SchedulerType=sched/backfill
SelectType=select/cons_tres
AccountingStorageType=accounting_storage/slurmdbd
NodeName=linux[1-32] CPUs=1 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
const TUNED = `ClusterName=lab
AuthInfo=socket=/run/munge.socket,cred_expire=5
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key=/etc/slurm/jwt_hs256.key
PropagateResourceLimits=NONE
ProctrackType=proctrack/linuxproc
AccountingStorageEnforce=associations,limits,qos,safe
AccountingStoreFlags=job_comment
JobRequeue=1
PreemptType=preempt/qos
PreemptMode=REQUEUE
PriorityType=priority/multifactor
PriorityWeightQOS=100000
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1,bf_continue,preempt_youngest_first
KillWait=1
MinJobAge=300
SlurmctldTimeout=60
SlurmdTimeout=60
`;
const QOS_HEAD = 'Name|Priority|GraceTime|Preempt|PreemptExemptTime|PreemptMode';
const QOS = `${QOS_HEAD}\nnormal|0|00:00:00|||cluster\nbatch|100|00:00:00|||requeue\nurgent|10000|00:00:00|batch||requeue\n`;

const site = (conf: string, more: Partial<Site> = {}): Site => ({
  source: 'a site',
  live: false,
  conf: parseConf(conf),
  unseen: [],
  ...more,
});
const found = (of: Site): readonly string[] => checkSite(of).findings.map((f) => `${f.severity} ${f.id}: ${f.found}`);
const ids = (of: Site): readonly string[] => checkSite(of).findings.map((f) => f.id);

test('a configuration as the configurator writes it', () => {
  assert.deepEqual(found(site(DEFAULT_LIKE, { qos: parseQosTable(`${QOS_HEAD}\nnormal|0|00:00:00|||cluster\n`) })), [
    'risk enforce: AccountingStorageEnforce=(nothing), lacks associations, limits, qos, safe',
    'risk preempt-type: PreemptType=preempt/none',
    'risk preempt-mode: PreemptMode=OFF',
    'risk qos-preempts-none: 1 QoS, none preempts',
    'risk priority-type: PriorityType=priority/basic',
    'risk priority-qos: PriorityWeightQOS=0',
    'risk job-comment: AccountingStoreFlags=(nothing)',
    'seconds kill-wait: KillWait=30',
    'seconds cred-expire: cred_expire=120',
    'seconds sched-interval: sched_interval=60 (default)',
    'seconds bf-interval: bf_interval=30 (default)',
    'seconds batch-sched-delay: batch_sched_delay=3 (default)',
    'seconds bf-continue: no bf_continue',
    'seconds slurmd-timeout: SlurmdTimeout=300',
    'note jwt: AuthAltTypes=(nothing)',
    'note propagate-limits: PropagateResourceLimits=ALL',
    'note max-array: MaxArraySize=1001',
  ]);
});

test('the tuned one of our own tests', () => {
  const report = checkSite(site(TUNED, { qos: parseQosTable(QOS), jwtKeyMode: 0o600, stateFilesystem: 'disk' }));
  assert.equal(hasRisk(report), true);
  assert.equal(
    reportText(report),
    `a site

risk    proctrack: ProctrackType=proctrack/linuxproc
        ${RULES.find((r) => r.id === 'proctrack')?.why}
        we would write: ProctrackType=proctrack/cgroup

note    max-array: MaxArraySize=1001
        ${RULES.find((r) => r.id === 'max-array')?.why}
        we would write: MaxArraySize=10001, MaxJobCount well above

risks: 1, what costs seconds: 0, notes: 1
`,
  );
  assert.equal(hasRisk(checkSite(site(TUNED.replace('linuxproc', 'cgroup'), { qos: parseQosTable(QOS) }))), false);
});

for (const [what, line, id] of [
  ['enforcement without qos', 'AccountingStorageEnforce=limits', 'enforce'],
  ['preemption by partition', 'PreemptType=preempt/partition_prio', 'preempt-type'],
  ['preemption off', 'PreemptMode=OFF', 'preempt-mode'],
  ['suspend without gang', 'PreemptMode=SUSPEND', 'preempt-mode'],
  ['gang without suspend', 'PreemptMode=GANG,REQUEUE', 'preempt-mode'],
  ['suspend with gang', 'PreemptMode=SUSPEND,GANG', 'preempt-suspend'],
  ['no requeue', 'JobRequeue=0', 'job-requeue'],
  ['basic priority', 'PriorityType=priority/basic', 'priority-type'],
  ['no weight for QoS', 'PriorityWeightQOS=0', 'priority-qos'],
  ['a long kill wait', 'KillWait=60', 'kill-wait'],
  ['the default hold-off', 'AuthInfo=socket=/x', 'cred-expire'],
  ['a long hold-off', 'AuthInfo=cred_expire=600', 'cred-expire'],
  ['a slow main loop', 'SchedulerParameters=bf_continue,sched_interval=60', 'sched-interval'],
  ['no main loop', 'SchedulerParameters=bf_continue,sched_interval=-1', 'sched-interval'],
  ['a slow backfill', 'SchedulerParameters=bf_interval=300', 'bf-interval'],
  ['a batch delay', 'SchedulerParameters=batch_sched_delay=20', 'batch-sched-delay'],
  ['a throttled loop', 'SchedulerParameters=sched_min_interval=2000000', 'sched-min-interval'],
  ['defer', 'SchedulerParameters=Defer', 'defer'],
  ['no bf_continue', 'SchedulerParameters=bf_interval=1', 'bf-continue'],
  ['time over the limit', 'OverTimeLimit=10', 'over-time-limit'],
  ['endless time over the limit', 'OverTimeLimit=UNLIMITED', 'over-time-limit'],
  ['a slow look at nodes', 'SlurmdTimeout=600', 'slurmd-timeout'],
  ['a slow takeover', 'SlurmctldTimeout=300', 'slurmctld-timeout'],
  ['an inactive limit', 'InactiveLimit=600', 'inactive-limit'],
  ['jobs that vanish', 'MinJobAge=10', 'min-job-age'],
  ['jobs that stay', 'MinJobAge=86400', 'min-job-age-long'],
  ['no comment kept', 'AccountingStoreFlags=job_script', 'job-comment'],
  ['no JWT', 'AuthAltTypes=', 'jwt'],
  ['processes that escape', 'ProctrackType=proctrack/pgid', 'proctrack'],
  ['limits of the submitter', 'PropagateResourceLimits=ALL', 'propagate-limits'],
  ['private data', 'PrivateData=jobs,usage', 'private-data'],
] as const)
  test(`${what} is found`, () => {
    const key = line.split('=')[0]?.toLowerCase() ?? '';
    const others = TUNED.split('\n').filter((l) => !l.toLowerCase().startsWith(`${key}=`));
    const changed = ids(site([...others, line].join('\n')));
    assert.ok(changed.includes(id), changed.join());
    assert.ok(!ids(site(TUNED.replace('linuxproc', 'cgroup'))).includes(id));
  });

test('QoS and associations: grace, order, a default that is not allowed', () => {
  const qos = parseQosTable(`${QOS_HEAD}\na|100|00:05:00|b||cluster\nb|100|00:00:00|||cluster\n`);
  const associations = parseAssociationTable('Cluster|Account|User|QOS|Def QOS\nc|p||a|a\nc|p|u|a,b|x\nc|p|v|a|\n');
  const lines = found(site(TUNED, { qos, associations }));
  assert.ok(lines.includes('seconds qos-grace: a 300 s'));
  assert.ok(lines.includes('note qos-order: a over b'));
  assert.ok(lines.includes('risk default-qos: p/u has default x'));
});

test('what only the host can say: key, file system, slurmrestd, version; what was not looked at is no finding', () => {
  const none = ids(site(TUNED));
  for (const id of ['jwt-key', 'state-save', 'rest', 'qos-preempts-none', 'default-qos', 'window-gate'])
    assert.ok(!none.includes(id), id);
  const lines = found(
    site(TUNED, {
      jwtKeyMode: 0o100644,
      stateFilesystem: 'memory',
      rest: { url: 'http://x', fault: 'http://x: refused' },
    }),
  );
  assert.ok(lines.includes('risk jwt-key: mode 0644'));
  assert.ok(lines.some((l) => l.startsWith('risk state-save')) && lines.includes('risk rest: http://x: refused'));
  const version = (text: string): boolean =>
    ids({ source: '', live: true, conf: parseShownConfig(`SLURM_VERSION = ${text}\n`), unseen: [] }).includes(
      'window-gate',
    );
  assert.deepEqual(['22.05.8', '24.05.3', '24.11.0', '25.05.1', 'odd'].map(version), [true, true, false, false, false]);
});

test('rules have names of their own, and the page for administrators holds their table', () => {
  assert.equal(new Set(RULES.map((r) => r.id)).size, RULES.length);
  const page = readFileSync(join(import.meta.dirname, '../../../docs/operate/slurm-check.md'), 'utf8');
  assert.ok(
    page.includes(ruleTable()),
    'run: node -e "import(\'./src/slurm/check/report.ts\').then((r) => console.log(r.ruleTable()))"',
  );
});
