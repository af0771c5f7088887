/** Another issuer's person as policy sees them: believed, and without a bearer of ours so far. No caller: nothing but an exchange is done as one. */
export interface ForeignIdentity {
  readonly kind: 'foreign';
  /** The subject. */
  readonly id: string;
  /** The issuer's name in federation.yaml. */
  readonly issuer: string;
  /** As known here, `person@issuer`. */
  readonly subject: string;
}
