/** Whether an address is one of this host's, found by binding to it: an interface whose cable is out, or that just came up, has its address too, and is in no list of running interfaces. */
import net from 'node:net';

const EVERY = new Set(['0.0.0.0', '::', '::ffff:0.0.0.0']);

/** Resolves where one may listen there and nowhere else. Throws Error in words otherwise. */
export async function requireOwnAddress(address: string): Promise<void> {
  const server = net.createServer();
  const bound = await new Promise<string>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new Error(
          cause.code === 'EADDRNOTAVAIL'
            ? `address ${address} is on no interface of this host`
            : `nothing can listen at address ${address}: ${cause.message}`,
        ),
      ),
    );
    server.listen(0, address, () => {
      const at = server.address();
      resolve(at === null || typeof at === 'string' ? '' : at.address);
    });
  });
  await new Promise((resolve) => server.close(resolve));
  if (EVERY.has(bound))
    throw new Error(`address ${address} is all interfaces of this host: give that of the network’s own interface`);
}
