import type { Client } from 'pg';

/** Of ids: ten characters of time, sixteen of chance. */
const ULID = '_([0-9A-HJKMNP-TV-Z]{10})[0-9A-HJKMNP-TV-Z]{6}([0-9A-HJKMNP-TV-Z]{10})';

const MARK = '######';

/** Statements are to end within the patience of a connection. */
const COPIES_AT_ONCE = 100;

/**
 * Makes runs from runs: `copies` of each, in every table that has rows of them, the queue's included,
 * with ids of their own. (To really start 60,000 would take longer than everything else together.)
 * In the middle of each id, six characters of chance become the number of the copy.
 */
export async function multiplyRuns(client: Client, runIds: readonly string[], copies: number): Promise<void> {
  for (const { table, column } of await tablesOfRuns(client)) {
    for (let first = 1; first <= copies; first += COPIES_AT_ONCE) {
      const last = Math.min(copies, first + COPIES_AT_ONCE - 1);
      // A row as text is the same in every column; the keys of some tables are UUIDs. Once for all copies, as it is slow.
      await client.query(
        `INSERT INTO ${table} OVERRIDING SYSTEM VALUE
         WITH original AS MATERIALIZED (
           SELECT regexp_replace(to_jsonb(row)::text, '${ULID}', '_\\1${MARK}\\2', 'g') AS text,
             to_jsonb(row) ->> 'id' ~ '^[0-9a-f]{8}-' AS keyed
           FROM ${table} AS row WHERE row.${column} = ANY ($1))
         SELECT made.* FROM original, generate_series($2::integer, $3) AS copy, jsonb_populate_record(
           NULL::${table}, replace(text, '${MARK}', lpad(copy::text, 6, '0'))::jsonb
           || CASE WHEN keyed THEN jsonb_build_object('id', gen_random_uuid()) ELSE '{}' END) AS made`,
        [runIds, first, last],
      );
    }
  }
}

/** Tables, not views, and of partitioned ones the whole. */
async function tablesOfRuns(client: Client): Promise<{ table: string; column: string }[]> {
  const { rows } = await client.query<{ table: string; column: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE n.nspname IN ('workflow', 'workflow_engine', 'workflow_queue') AND c.relkind IN ('r', 'p')
       AND NOT c.relispartition AND (a.attname = 'run_id' OR c.relname = 'workflow_runs' AND a.attname = 'id'
       OR n.nspname = 'workflow_queue' AND c.relname = 'job' AND a.attname = 'group_id')`,
  );
  return rows;
}
