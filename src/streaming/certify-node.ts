/** A certificate for a data streaming node, for the addresses and names that the facility's folder gives it. */
import type { Caller, SignedCertificate } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';

/** Throws `refused` where the bearer is another's, `not-found` where the facility has no such node, `invalid-request` for a bad request. */
export async function certifyNode(
  deps: Pick<StreamingDeps, 'authority' | 'facility' | 'audit' | 'clock'>,
  caller: Caller,
  asked: { readonly node: string; readonly request: string; readonly requestId: string },
): Promise<SignedCertificate> {
  const { node: name, request, requestId } = asked;
  if (caller.kind !== 'node' || caller.subject !== name)
    throw new Problem('refused', 'A node asks for its own certificate only.', {
      rules: [{ rule: 'node-acts-for-itself-only', detail: `this bearer is ${caller.subject}'s` }],
    });
  const node = deps.facility.streamingNodes.find((n) => n.name === name);
  if (node === undefined) throw new Problem('not-found', `The facility has no data streaming node ${name}.`);
  const { networks } = deps.facility;
  const found = [node.external, node.compute].flatMap((network) => networks[network]?.address ?? []);
  const addresses = [...new Set(found)];
  const { hostnames } = node;
  const signed = await deps.authority.signNode(request, { node: name, addresses, hostnames });
  // Recorded before it is handed out.
  await deps.audit.append({
    at: new Date(deps.clock.now()),
    requestId,
    phase: 'event',
    callerKind: caller.kind,
    callerId: caller.id,
    subject: caller.subject,
    project: null,
    action: 'node.certified',
    resource: `node/${name}`,
    status: null,
    detail: { addresses, hostnames, expiresAt: new Date(signed.expiresAtMs).toISOString() },
  });
  return signed;
}
