/** The local scheduler keeps the port's contract. What only it promises is in the other tests of this folder. */
import { schedulerConformance } from '../scheduler.conformance.ts';
import { openTestCluster } from './local-cluster.fixture.ts';

schedulerConformance('local', { tiers: { low: 'batch', high: 'urgent' }, shortestTimeLimitSeconds: 1 }, () =>
  openTestCluster(),
);
