/**
 * A way through a Redis stream: XADD, XREADGROUP, XACK on a key of the bench's own. Owns its connections. What an earlier bench that was killed left there is put away first, for
 * what its group never acknowledged would stay in the buffer.
 */
import type { createClient as CreateClient } from '@redis/client';
import { type Credential, type LoadPath, type PathTerms, wordsOf } from './load-path.ts';

const GROUP = 'bench';
const BLOCK_MS = 200;

type Redis = ReturnType<typeof CreateClient>;

export async function redisPath({ producer, consumer, prefetch, back, onFault }: PathTerms): Promise<LoadPath> {
  const { createClient, RESP_TYPES } = await import('@redis/client');
  const key = back ? 'beamway-bench-back' : 'beamway-bench';
  let closing = false;
  const connect = async ({ endpoint, username, password, authority }: Credential): Promise<Redis> => {
    const at = new URL(endpoint);
    const to = { host: at.hostname.replace(/^\[|\]$/g, ''), port: Number(at.port), reconnectStrategy: false } as const;
    const socket = at.protocol === 'rediss:' ? { ...to, tls: true as const, ca: authority ?? '' } : to;
    const client = createClient({ username, password, socket, RESP: 2, disableClientInfo: true });
    client.on('error', (cause: Error) => closing || onFault(cause.message));
    await client.connect();
    return client as unknown as Redis;
  };
  const tidy = await connect(consumer);
  await tidy
    .sendCommand(['XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM'])
    .catch((cause: unknown) => void (wordsOf(cause).startsWith('BUSYGROUP') || onFault(wordsOf(cause))));
  const sweep = async (): Promise<void> => {
    const rows = (await tidy.sendCommand(['XINFO', 'CONSUMERS', key, GROUP])) as unknown as unknown[][];
    for (const row of rows) await tidy.sendCommand(['XGROUP', 'DELCONSUMER', key, GROUP, String(row[1])]);
    await tidy.sendCommand(['XTRIM', key, 'MAXLEN', '0']);
    await tidy.sendCommand(['XGROUP', 'SETID', key, GROUP, '$']);
  };
  await sweep();
  return {
    confirms: true,
    async producer() {
      const client = await connect(producer);
      return {
        async put(message) {
          try {
            await client.sendCommand(['XADD', key, '*', 'm', message]);
            return true;
          } catch (cause) {
            if (wordsOf(cause).startsWith('OOM')) return false;
            throw cause;
          }
        },
        room: () => undefined,
        close: () => client.close(),
      };
    },
    async consumer(index, on) {
      const client = await connect(consumer);
      const typed = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      let open = true;
      const read = ['XREADGROUP', 'GROUP', GROUP, `c${index}`, 'COUNT', String(prefetch), 'BLOCK', String(BLOCK_MS)];
      const reading = (async () => {
        while (open) {
          const found = (await typed.sendCommand([...read, 'STREAMS', key, '>'])) as unknown as
            | readonly [unknown, readonly (readonly [Buffer, readonly Buffer[]])[]][]
            | null;
          const entries = found?.[0]?.[1] ?? [];
          for (const [, fields] of entries) on(fields[1] as Buffer);
          if (entries.length > 0) await client.sendCommand(['XACK', key, GROUP, ...entries.map(([id]) => id)]);
        }
      })().catch((cause: unknown) => closing || onFault(wordsOf(cause)));
      return {
        async close() {
          open = false;
          await reading;
          await client.close();
        },
      };
    },
    async close() {
      closing = true;
      if (!tidy.isOpen) return;
      await sweep().catch(() => undefined);
      await tidy.close();
    },
  };
}
