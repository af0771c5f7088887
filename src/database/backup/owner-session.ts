/** One connection as the owner of the tables, in one transaction that is committed when the action resolves. Owns the connection. */
import pg from 'pg';
import { clientConfig, type DatabaseTarget } from '../connect.ts';

export async function ownerTransaction<T>(
  target: DatabaseTarget,
  begin: string,
  action: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(clientConfig(target, 'owner', 'beamway-backup'));
  // Unheard, an error of the connection would end the process; what it breaks rejects by itself.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query(begin);
    const result = await action(client);
    await client.query('commit');
    return result;
  } finally {
    // An open transaction is rolled back with its connection.
    await client.end().catch(() => undefined);
  }
}
