/**
 * X.509 certificates of our own authority (RFC 5280): the authority's, and those it signs for data streaming nodes. ECDSA on P-256. What a certificate says is decided here, from the
 * facility's folder; of a request (PKCS #10, RFC 2986) only the public key is taken, once its signature has shown that the sender holds the private one.
 */
import 'reflect-metadata'; // @peculiar/x509 needs it, and before itself
import { randomBytes, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
/** Longer than any stream's offline lifetime; a node asks for the next when a third of it is over. */
export const NODE_CERTIFICATE_DAYS = 30;
/** Of a clock that is behind ours. */
const SKEW_MS = 300_000;
const MOST_REQUEST = 8192;

export interface AuthorityPair {
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  readonly expiresAtMs: number;
}

export async function makeAuthority(facility: string, nowMs: number): Promise<AuthorityPair> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const expiresAtMs = nowMs + AUTHORITY_DAYS * DAY_MS;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [`Beamway authority of ${facility}`] }],
    notBefore: new Date(nowMs - SKEW_MS),
    notAfter: new Date(expiresAtMs),
    keys,
    signingAlgorithm: KEY,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const exported = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    certificatePem: certificate.toString('pem'),
    privateKeyPem: x509.PemConverter.encode(exported, 'PRIVATE KEY'),
    expiresAtMs,
  };
}

export interface NodeIdentity {
  readonly node: string;
  /** Addresses and host names under which clients reach it. */
  readonly addresses: readonly string[];
  readonly hostnames: readonly string[];
}

export interface SignedCertificate {
  readonly certificatePem: string;
  readonly expiresAtMs: number;
}

/** Undefined where the request cannot be read, is of another kind of key, or is not signed by its own key. */
export async function signNodeCertificate(
  authority: Pick<AuthorityPair, 'certificatePem' | 'privateKeyPem'>,
  requestPem: string,
  of: NodeIdentity & { readonly nowMs: number },
): Promise<SignedCertificate | undefined> {
  const publicKey = await provenKey(requestPem);
  if (publicKey === undefined) return undefined;
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const [pkcs8] = x509.PemConverter.decode(authority.privateKeyPem);
  if (pkcs8 === undefined) throw new Error('the authority has no private key');
  const signingKey = await crypto.subtle.importKey('pkcs8', pkcs8, KEY, false, ['sign']);
  const expiresAtMs = of.nowMs + NODE_CERTIFICATE_DAYS * DAY_MS;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [of.node] }],
    issuer: issuer.subjectName,
    notBefore: new Date(of.nowMs - SKEW_MS),
    notAfter: new Date(expiresAtMs),
    publicKey,
    signingKey,
    signingAlgorithm: KEY,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...of.addresses.map((value) => ({ type: 'ip' as const, value })),
        ...[of.node, ...of.hostnames].map((value) => ({ type: 'dns' as const, value })),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), expiresAtMs };
}

async function provenKey(requestPem: string): Promise<webcrypto.CryptoKey | undefined> {
  if (requestPem.length > MOST_REQUEST) return undefined;
  try {
    const request = new x509.Pkcs10CertificateRequest(requestPem);
    const { name } = request.publicKey.algorithm;
    const curve = 'namedCurve' in request.publicKey.algorithm ? request.publicKey.algorithm.namedCurve : '';
    if (name !== KEY.name || curve !== KEY.namedCurve || !(await request.verify())) return undefined;
    return await request.publicKey.export(KEY, ['verify']);
  } catch {
    return undefined;
  }
}

/** 127 random bits, positive: RFC 5280 section 4.1.2.2. */
function serial(): string {
  const octets = randomBytes(16);
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40;
  return octets.toString('hex');
}
