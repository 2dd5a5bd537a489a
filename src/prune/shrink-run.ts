import type { ClientBase } from 'pg';
import { noCounts, RUN_TABLES, type Counts } from './tables.ts';

const CHUNKS = 'workflow.workflow_stream_chunks';

/**
 * Removes up to `limit` rows of one table from a run that is too large for one transaction.
 * @returns what was removed; nothing when nothing is left of the run but its own two rows
 */
export async function shrinkRun(client: ClientBase, runId: string, limit: number): Promise<Counts | undefined> {
  for (const { table, kind } of RUN_TABLES) {
    const removed =
      table === CHUNKS ? await shortenStream(client, runId, limit) : await deleteSome(client, table, runId, limit);
    if (removed > 0) return { ...noCounts(), ...(kind && { [kind]: removed }) };
  }
  return undefined;
}

async function deleteSome(client: ClientBase, table: string, runId: string, limit: number): Promise<number> {
  const { rowCount } = await client.query(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE run_id = $1 LIMIT $2))`,
    [runId, limit],
  );
  return rowCount ?? 0;
}

/**
 * Takes the last `limit` chunks off one stream of the run, and makes the one before them its end
 * mark: at every moment, what is left is the beginning of the stream and an end. From its beginning
 * on, a slow reader would be given a text with a hole; without an end mark, it would wait for ever.
 */
async function shortenStream(client: ClientBase, runId: string, limit: number): Promise<number> {
  const { rows: streams } = await client.query<{ name: string }>(
    `SELECT stream_id AS name FROM ${CHUNKS} WHERE run_id = $1 LIMIT 1`,
    [runId],
  );
  const stream = streams[0]?.name;
  if (stream === undefined) return 0;
  const { rows: ends } = await client.query<{ id: string }>(
    `UPDATE ${CHUNKS} SET eof = true, data = '' WHERE run_id = $2 AND stream_id = $1 AND id = (
       SELECT id FROM ${CHUNKS} WHERE stream_id = $1 AND run_id = $2 ORDER BY id DESC OFFSET $3 LIMIT 1) RETURNING id`,
    [stream, runId, limit],
  );
  const { rowCount } = await client.query(`DELETE FROM ${CHUNKS} WHERE stream_id = $1 AND run_id = $2 AND id > $3`, [
    stream,
    runId,
    ends[0]?.id ?? '',
  ]);
  return rowCount ?? 0;
}
