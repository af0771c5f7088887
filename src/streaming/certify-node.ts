/** A certificate for a data streaming node, for the addresses and names that the facility's folder gives it. */
import type { Caller, SignedCertificate } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';

/** Throws `refused` where the bearer is another node's, `not-found` where the facility has no such node, `invalid-request` for a bad request. */
export async function certifyNode(
  deps: Pick<StreamingDeps, 'authority' | 'facility'>,
  caller: Caller,
  { node: name, request }: { readonly node: string; readonly request: string },
): Promise<SignedCertificate> {
  if (caller.kind !== 'node' || caller.subject !== name)
    throw new Problem('refused', 'A node asks for its own certificate only.', {
      rules: [{ rule: 'node-acts-for-itself-only', detail: `this bearer is ${caller.subject}'s` }],
    });
  const node = deps.facility.streamingNodes.find((n) => n.name === name);
  if (node === undefined) throw new Problem('not-found', `The facility has no data streaming node ${name}.`);
  const { networks } = deps.facility;
  const addresses = [node.external, node.compute].flatMap((network) => networks[network]?.address ?? []);
  return deps.authority.signNode(request, {
    node: name,
    addresses: [...new Set(addresses)],
    hostnames: node.hostnames,
  });
}
