/** For tests: a Slurm that runs nothing and does what the test says, behind the agent's ports. A fake, and said to be one: real Slurm stands in the live tests. */
import type { AccountingRow, BatchOrder, MappedUser, QueueRow, SlurmRead, SlurmWrite } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';

export interface ScriptedSlurm extends SlurmRead, SlurmWrite {
  rows: QueueRow[];
  accounting: AccountingRow[];
  readonly submitted: BatchOrder[];
  readonly cancelled: string[];
  /** Called with each submit: may throw before it arrives, or `lose` the answer after it did. */
  onSubmit: (order: BatchOrder) => 'arrives' | 'arrives-unanswered' | 'refused' | 'down';
  /** Everything is away. */
  down: boolean;
  /** Looks at the queue. */
  looks: number;
  set(jobId: string, change: Partial<QueueRow>): void;
  /** As after a crash: slurmctld knows it no more. */
  forget(jobId: string): void;
}

export function scriptedSlurm(user: MappedUser, now: () => number): ScriptedSlurm {
  let next = 100;
  const unavailable = (): SlurmFailure => new SlurmFailure({ kind: 'unavailable', message: 'slurmctld is away' });
  return {
    rows: [],
    accounting: [],
    submitted: [],
    cancelled: [],
    onSubmit: () => 'arrives',
    down: false,
    looks: 0,
    async queue() {
      this.looks += 1;
      if (this.down) throw unavailable();
      return [...this.rows];
    },
    async job(id) {
      if (this.down) throw unavailable();
      const found = this.rows.filter((r) => r.jobId === id);
      return found.length === 0 ? undefined : found;
    },
    async history() {
      if (this.down) throw unavailable();
      return this.accounting;
    },
    nodes: async () => [],
    partitions: async () => [],
    reservations: async () => [],
    diagnostics: async () => {
      throw unavailable();
    },
    async submit(order) {
      const how = this.down ? 'down' : this.onSubmit(order);
      if (how === 'down') throw unavailable();
      if (how === 'refused') throw new SlurmFailure({ kind: 'unknown-tier', message: 'Invalid qos specification' });
      this.submitted.push(order);
      const jobId = String(next++);
      this.rows.push({
        jobId,
        name: order.name,
        user: user.name,
        account: order.account,
        qos: order.qos,
        partition: 'batch',
        state: 'PENDING',
        reasonCode: order.hold ? 'JobHeldUser' : 'Priority',
        comment: order.comment,
        priority: 1,
        restarts: 0,
        requeue: order.requeue,
        nodes: order.nodes,
        nodeNames: [],
        submitMs: now(),
      });
      if (how === 'arrives-unanswered') throw unavailable();
      return jobId;
    },
    async cancel(jobId) {
      this.cancelled.push(jobId);
      this.set(jobId, { state: 'CANCELLED', endMs: now() });
    },
    async hold(jobId) {
      this.set(jobId, { reasonCode: 'JobHeldUser' });
    },
    async release(jobId) {
      this.set(jobId, { reasonCode: 'Priority' });
    },
    async requeue(jobId) {
      const restarts = (this.rows.find((r) => r.jobId === jobId)?.restarts ?? 0) + 1;
      this.set(jobId, { state: 'PENDING', restarts });
    },
    update: async () => undefined,
    set(jobId, change) {
      this.rows = this.rows.map((r) => (r.jobId === jobId ? { ...r, ...change } : r));
    },
    forget(jobId) {
      this.rows = this.rows.filter((r) => r.jobId !== jobId);
    },
  };
}
