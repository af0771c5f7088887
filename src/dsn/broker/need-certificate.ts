/** A stream whose ports speak TLS is not opened before the node can. */
import type { Lease } from '../../api/contract/node-link.ts';
import type { NodeCertificate } from '../certificate/node-certificate.ts';

/** Throws Error in words for `stream show`. */
export function needCertificate(lease: Pick<Lease, 'tls'>, certificate: Pick<NodeCertificate, 'context'>): void {
  if (lease.tls && certificate.context() === undefined)
    throw new Error('the node has no certificate yet: it asks the control plane for one each time it is linked');
}
