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
  /** Who connects to the broker itself (mode `direct`), by the name in its credential; undefined: nobody. */
  readonly direct: (username: string) => DirectUser | undefined;
}

export interface DirectUser {
  readonly stream: string;
  readonly role: RabbitRole;
  readonly hasPassword: (password: string) => boolean;
  readonly mayComeFrom: (address: string) => boolean;
}

/** `path`: the last part of the address asked. */
export function answerCallback(facts: CallbackFacts, path: string, fields: URLSearchParams): string {
  const user = userOf(facts, fields.get('username') ?? '');
  if (user === undefined) return 'deny';
  const { role } = user;
  if (path === 'user') return user.hasPassword(fields.get('password') ?? '') ? 'allow' : 'deny';
  if (fields.get('vhost') !== user.stream) return 'deny';
  if (path === 'vhost') return user.mayComeFrom(fields.get('ip') ?? '') ? 'allow' : 'deny';
  const permission = fields.get('permission') ?? '';
  if (path === 'resource') return mayDo(role, fields.get('resource') ?? '', permission) ? 'allow' : 'deny';
  if (path === 'topic') return mayDo(role, 'topic', permission) ? 'allow' : 'deny';
  return 'deny';
}

/** The gateway's own log-ins hold slashes; names in credentials do not. */
function userOf(facts: CallbackFacts, username: string): DirectUser | undefined {
  if (!username.includes('/')) return facts.direct(username);
  const [stream = '', role = '', credential] = username.split('/');
  if ((role !== 'producer' && role !== 'consumer') || credential === undefined || !facts.isOpen(stream))
    return undefined;
  // Where it may come from, the gateway has judged.
  return { stream, role, hasPassword: (password) => same(password, facts.gatewaySecret), mayComeFrom: () => true };
}

/** In constant time, whatever the lengths. */
export function same(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
