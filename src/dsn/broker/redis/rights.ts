/**
 * What each role may do in a stream's Redis, as ACL rules (Redis 7.0). Users log in through the gateway only, which swaps their credential for one of these; a right that is not here
 * does not exist. Checked with ACL DRYRUN in the tests.
 */

export type RedisRole = 'producer' | 'consumer';

const EVERYBODY = [
  'auth',
  'hello',
  'ping',
  'echo',
  'reset',
  'quit',
  'select',
  'command',
  'client|id',
  'client|setname',
  'client|getname',
  'client|reply',
];

const COMMANDS: Readonly<Record<RedisRole, readonly string[]>> = {
  producer: ['xadd', 'xlen', 'publish', 'multi', 'exec', 'discard'],
  consumer: [
    'xread',
    'xreadgroup',
    'xack',
    'xclaim',
    'xautoclaim',
    'xpending',
    'xrange',
    'xrevrange',
    'xlen',
    'xdel',
    'xtrim',
    'xgroup|create',
    'xgroup|createconsumer',
    'xgroup|delconsumer',
    'xgroup|setid',
    'xinfo|stream',
    'xinfo|groups',
    'xinfo|consumers',
    'subscribe',
    'unsubscribe',
    'psubscribe',
    'punsubscribe',
  ],
};

/** The instance is the stream's alone, so keys and channels need no prefix: the producer writes any, the consumer reads and acknowledges any. */
const PLACES: Readonly<Record<RedisRole, readonly string[]>> = {
  producer: ['%W~*', '&*'],
  // XACK, XGROUP, XDEL and XTRIM count as writes.
  consumer: ['~*', '&*'],
};

/** Without the password. */
export function rightsOf(role: RedisRole): readonly string[] {
  return ['reset', 'on', ...PLACES[role], '-@all', ...[...EVERYBODY, ...COMMANDS[role]].map((c) => `+${c}`)];
}
