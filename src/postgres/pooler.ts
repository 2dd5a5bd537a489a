import type { Client } from 'pg';

/**
 * Whether the connection leads through a pooler such as PgBouncer. It gives its clients cancel keys
 * of its own, so the process id that came with the key is not the one of the server's process.
 * A pooler that gives every client a session of its own looks the same, and is treated alike: what
 * works between transactions works within a session too.
 */
export async function isPooled(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  // pg's typings leave it out.
  return rows[0]?.pid !== (client as Client & { processID: number }).processID;
}
