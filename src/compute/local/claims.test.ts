/** A job's stream claims: exchanged by its runner before its script starts, for each attempt, and nowhere to be seen. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { jobSpec, untilEnded, untilJob, untilMark } from '../scheduler.conformance.ts';
import { openTestCluster } from './local-cluster.fixture.ts';

const SECRET = 'claim-secret-7c1f';

interface Node {
  readonly url: string;
  readonly asked: readonly unknown[];
  close(): Promise<void>;
}

/** A streaming node that answers the n-th request with the n-th status, the last one for ever. */
async function streamingNode(statuses: readonly number[]): Promise<Node> {
  const asked: unknown[] = [];
  const server: Server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    asked.push(JSON.parse(text));
    const status = statuses[Math.min(asked.length, statuses.length) - 1] ?? 500;
    response
      .writeHead(status, { connection: 'close' })
      .end(status === 200 ? JSON.stringify({ endpoint: 'tcp://127.0.0.1:1', password: `p${asked.length}` }) : SECRET);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/claim`,
    asked,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

describe('a local job with claims', () => {
  it('has its streams in a private file when its script starts, even if the node learns of the claim later', async (context) => {
    const under = await openTestCluster();
    const node = await streamingNode([404, 500, 200]);
    context.after(async () => {
      await under.dispose();
      await node.close();
    });
    const { scheduler, marks, stateDir } = under;
    const script =
      '#!/bin/sh\nstat -c %a "$BEAMWAY_STREAMS" > "$1.tmp"\ncat "$BEAMWAY_STREAMS" >> "$1.tmp"\nmv "$1.tmp" "$1"\nwhile [ ! -e "$2" ]; do sleep 0.05; done\n';
    const spec = jobSpec({
      script,
      arguments: [`${marks}/seen`, `${marks}/never`],
      claims: [{ stream: 'frames', url: node.url, secret: SECRET }],
    });
    const job = await scheduler.submit(spec);
    const [mode, body] = (await untilMark(`${marks}/seen`, (text) => text !== '')).split('\n');
    assert.equal(mode, '600');
    assert.deepEqual(JSON.parse(body ?? ''), {
      streams: { frames: { endpoint: 'tcp://127.0.0.1:1', password: 'p3' } },
    });
    assert.deepEqual(node.asked, Array(3).fill({ claim: SECRET, job: spec.key, attempt: 1 }));

    const folder = `${stateDir}/jobs/${job.nativeId}`;
    assert.equal(statSync(`${folder}/claims.json`).mode & 0o777, 0o600);
    const { pid } = JSON.parse(await readFile(`${folder}/attempt-1/started.json`, 'utf8')) as { pid: number };
    const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
    for (const p of [String(pid), ...children]) {
      for (const file of ['cmdline', 'environ'])
        assert.ok(!(await readFile(`/proc/${p}/${file}`, 'latin1')).includes(SECRET));
    }
    for (const file of ['job.json', 'attempt-1/order.json'])
      assert.ok(!(await readFile(`${folder}/${file}`, 'utf8')).includes(SECRET));

    // A preempted attempt claims anew, under its own number.
    const urgent = await scheduler.submit(jobSpec({ tier: 'urgent', nodes: 2, slotsPerNode: 2 }));
    assert.equal((await untilEnded(scheduler, urgent.nativeId)).state, 'completed');
    await untilJob(scheduler, job.nativeId, (j) => j.attempts.length === 2 && j.state === 'running');
    assert.deepEqual(node.asked.at(-1), { claim: SECRET, job: spec.key, attempt: 2 });
    await scheduler.cancel(job.nativeId);
    await untilEnded(scheduler, job.nativeId);
    await under.reopen(async () => {});
    for (const file of ['claims.json', 'attempt-1/streams.json', 'attempt-2/streams.json'])
      assert.ok(!existsSync(`${folder}/${file}`), `${file} is removed when the job ends`);
  });

  it('exchanges the newest claim when its submit was repeated with another, and keeps none once it has ended', async (context) => {
    const under = await openTestCluster();
    const node = await streamingNode([404, 404, 404, 404, 200]);
    context.after(async () => {
      await under.dispose();
      await node.close();
    });
    const { scheduler, stateDir } = under;
    const spec = jobSpec({ claims: [{ stream: 'frames', url: node.url, secret: 'void' }] });
    const again = { ...spec, claims: [{ stream: 'frames', url: node.url, secret: SECRET }] };
    const job = await scheduler.submit(spec);
    assert.equal((await scheduler.submit(again)).nativeId, job.nativeId);
    assert.equal((await untilEnded(scheduler, job.nativeId)).state, 'completed');
    assert.deepEqual(node.asked.at(-1), { claim: SECRET, job: spec.key, attempt: 1 });
    await scheduler.submit(again);
    await under.reopen(async () => {});
    assert.ok(!existsSync(`${stateDir}/jobs/${job.nativeId}/claims.json`));
  });

  it('fails without running when a claim is refused, and says which stream but not the secret', async (context) => {
    const under = await openTestCluster();
    const node = await streamingNode([403]);
    context.after(async () => {
      await under.dispose();
      await node.close();
    });
    const { scheduler, marks } = under;
    const spec = jobSpec({
      script: '#!/bin/sh\ntouch "$1"\n',
      arguments: [`${marks}/ran`],
      claims: [{ stream: 'frames', url: node.url, secret: SECRET }],
    });
    const ended = await untilEnded(scheduler, (await scheduler.submit(spec)).nativeId);
    assert.deepEqual([ended.state, ended.attempts.length, node.asked.length], ['failed', 1, 1]);
    assert.match(ended.reason, /^stream frames: .*403/);
    assert.ok(!JSON.stringify(ended).includes(SECRET));
    assert.ok(!existsSync(`${marks}/ran`));
  });

  it('can be cancelled while its node does not answer', async (context) => {
    const under = await openTestCluster();
    const node = await streamingNode([404]);
    context.after(async () => {
      await under.dispose();
      await node.close();
    });
    const { scheduler } = under;
    const job = await scheduler.submit(jobSpec({ claims: [{ stream: 'frames', url: node.url, secret: SECRET }] }));
    while (node.asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.match((await scheduler.show(job.nativeId)).reason, /being started on n0/);
    await scheduler.cancel(job.nativeId);
    assert.equal((await untilEnded(scheduler, job.nativeId)).state, 'cancelled');
  });
});
