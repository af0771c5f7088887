/**
 * The node's certificate and its key, which never leaves this host. Asked for over the link at each start (the facility's folder may give the node other addresses), and again when a third of its life is over; new connections then get the new one, those that
 * stand keep theirs. Owns two files in the agent's folder (0600).
 */
import 'reflect-metadata'; // @peculiar/x509 needs it, and before itself
import { createSecureContext, type SecureContext } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { keep, readKept } from '../broker/kept-file.ts';

const keptSchema = z.strictObject({
  privateKeyPem: z.string(),
  certificatePem: z.string(),
  authorityPem: z.string(),
  obtainedAtMs: z.number(),
  expiresAtMs: z.number(),
});
type Kept = z.output<typeof keptSchema>;

export interface CertificateAnswer {
  readonly certificate: string;
  readonly authority: string;
  readonly expiresAtMs: number;
}

export interface NodePem {
  readonly privateKey: string;
  readonly certificate: string;
  readonly authority: string;
}

export interface NodeCertificate {
  /** For a new connection; undefined while there is none that holds. TLS 1.3 only. */
  context(): SecureContext | undefined;
  /** For programs that end TLS themselves; undefined as for `context`. */
  pem(): NodePem | undefined;
  /** What clients verify this node with; undefined where it has no certificate. */
  authorityPem(): string | undefined;
  /** Asks for a certificate where there is none, or it is time; says whether there is a new one. Rejects with what `ask` rejects with. */
  renew(ask: (requestPem: string) => Promise<CertificateAnswer>): Promise<boolean>;
}

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export function nodeCertificate(path: string, node: string, clock: Clock): NodeCertificate {
  let kept: Kept | undefined = readKept(path, keptSchema);
  let context: SecureContext | undefined;
  let renewed = false;
  const isDue = (): boolean => {
    if (kept === undefined || !renewed) return true;
    return clock.now() > kept.obtainedAtMs + (kept.expiresAtMs - kept.obtainedAtMs) / 3;
  };
  return {
    context() {
      if (kept === undefined || kept.expiresAtMs <= clock.now()) return undefined;
      context ??= createSecureContext({
        key: kept.privateKeyPem,
        cert: kept.certificatePem,
        minVersion: 'TLSv1.3',
      });
      return context;
    },
    pem() {
      if (kept === undefined || kept.expiresAtMs <= clock.now()) return undefined;
      return { privateKey: kept.privateKeyPem, certificate: kept.certificatePem, authority: kept.authorityPem };
    },
    authorityPem: () => kept?.authorityPem,
    async renew(ask) {
      if (!isDue()) return false;
      const { request, privateKeyPem } = await newRequest(node);
      const { certificate: certificatePem, authority: authorityPem, expiresAtMs } = await ask(request);
      kept = { privateKeyPem, certificatePem, authorityPem, obtainedAtMs: clock.now(), expiresAtMs };
      context = undefined;
      renewed = true;
      keep(path, kept);
      return true;
    },
  };
}

/** PKCS #10, RFC 2986. */
export async function newRequest(node: string): Promise<{ readonly request: string; readonly privateKeyPem: string }> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [node] }],
    keys,
    signingAlgorithm: KEY,
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { request: request.toString('pem'), privateKeyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}
