/**
 * Answers a RabbitMQ of ours that asks who may do what: the node decides, from nothing but what the connection's user name says and a secret that only the gateway has. So reconnects work
 * while the control plane is away. Pure. Protocol: form fields in, `allow`, `allow TAGS` or `deny` out (rabbitmq_auth_backend_http).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { mayDo, type RabbitRole } from './rights.ts';

/** What the gateway logs in as: seen in the broker's own log and lists. */
export const gatewayUser = (stream: string, role: RabbitRole, credential: string): string =>
  `${stream}/${role}/${credential}`;

export interface CallbackFacts {
  readonly gatewaySecret: string;
  readonly isOpen: (stream: string) => boolean;
}

/** `path`: the last part of the address asked. */
export function answerCallback(facts: CallbackFacts, path: string, fields: URLSearchParams): string {
  const [stream = '', role = '', credential] = (fields.get('username') ?? '').split('/');
  const known = (role === 'producer' || role === 'consumer') && credential !== undefined && facts.isOpen(stream);
  if (!known) return 'deny';
  if (path === 'user') return same(fields.get('password') ?? '', facts.gatewaySecret) ? 'allow' : 'deny';
  if (fields.get('vhost') !== stream) return 'deny';
  if (path === 'vhost') return 'allow';
  const permission = fields.get('permission') ?? '';
  if (path === 'resource') return mayDo(role, fields.get('resource') ?? '', permission) ? 'allow' : 'deny';
  if (path === 'topic') return mayDo(role, 'topic', permission) ? 'allow' : 'deny';
  return 'deny';
}

/** In constant time, whatever the lengths. */
export function same(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
