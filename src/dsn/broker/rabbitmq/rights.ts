/**
 * What a role may do in its stream's virtual host, decided for each of RabbitMQ's questions (rabbitmq_auth_backend_http). Pure. Exchanges and queues are told apart, which RabbitMQ's own
 * regular expressions cannot do: a consumer may bind its queue, which writes to the queue, and yet publish nothing.
 */
export type RabbitRole = 'producer' | 'consumer';
export type Permission = 'configure' | 'write' | 'read';

const MAY: Readonly<Record<RabbitRole, Readonly<Record<'exchange' | 'queue', readonly Permission[]>>>> = {
  // Declares and binds; publishes; takes nothing out.
  producer: { exchange: ['configure', 'write', 'read'], queue: ['configure', 'write'] },
  // Declares and binds; takes out; publishes nothing.
  consumer: { exchange: ['configure', 'read'], queue: ['configure', 'write', 'read'] },
};

/** Also for a topic's routing keys, which are asked for as `topic`. */
export function mayDo(role: RabbitRole, resource: string, permission: string): boolean {
  const kind = resource === 'topic' ? 'exchange' : resource;
  if (kind !== 'exchange' && kind !== 'queue') return false;
  return (MAY[role][kind] as readonly string[]).includes(permission);
}
