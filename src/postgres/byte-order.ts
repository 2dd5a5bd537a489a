import type { ClientBase } from 'pg';
import type { SetupPart } from './setup-plan.ts';

/** Whether texts are compared as bytes where nothing else is said. Before version 15, every locale is libc's. */
const BY_DEFAULT = `(
  SELECT CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')
         WHEN 'c' THEN d.datcollate IN ('C', 'POSIX') WHEN 'b' THEN true ELSE false END
  FROM pg_database d WHERE d.datname = current_database())`;

/** Columns of text, of world-postgres's tables and of ours, that are compared as the database compares. */
const COLUMNS = `
  SELECT c.oid AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('workflow', 'workflow_engine') AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attcollation = 'pg_catalog."default"'::regcollation`;

/** PostgreSQL changes no column that a view shows, so ours are made again. (Somebody else's view is an error, which names it.) */
const COMPARE_BYTES = `DO $$
DECLARE
  again text[];
  statement text;
BEGIN
  SELECT array_agg(format('CREATE VIEW %s AS %s', oid::regclass, pg_get_viewdef(oid)) ORDER BY oid) ||
    (SELECT coalesce(array_agg(format('GRANT %s ON %s TO %s', a.privilege_type, v.oid::regclass,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)), '{}')
     FROM pg_class v, aclexplode(v.relacl) a
     WHERE v.relkind = 'v' AND v.relnamespace = 'workflow_engine'::regnamespace AND a.grantee <> v.relowner)
  INTO again FROM pg_class WHERE relkind = 'v' AND relnamespace = 'workflow_engine'::regnamespace;
  FOR statement IN
    SELECT 'DROP VIEW ' || oid::regclass FROM pg_class
    WHERE relkind = 'v' AND relnamespace = 'workflow_engine'::regnamespace ORDER BY oid DESC
  LOOP EXECUTE statement; END LOOP;
  -- the rows stay as they are; the indexes are built anew, and the planner is told what is in them
  FOR statement IN
    SELECT format('ALTER TABLE %1$s %2$s; ANALYZE %1$s', t.table::regclass,
             string_agg(format('ALTER COLUMN %I TYPE %s COLLATE pg_catalog."C"', t.column, t.type), ', '))
    FROM (${COLUMNS}) AS t GROUP BY t.table
  LOOP EXECUTE statement; END LOOP;
  FOREACH statement IN ARRAY again LOOP EXECUTE statement; END LOOP;
END $$`;

/**
 * Replays read the log in the order of its ids, whose digits and capital letters some languages sort in another way
 * (Lithuanian has its Y after I). So in a database that does not compare bytes, the columns do.
 * @param isPending whether tables are still to be made, or changed
 */
export async function planByteOrder(client: ClientBase, isPending: boolean): Promise<SetupPart> {
  const { rows } = await client.query<{ byDefault: boolean; columns: number }>(
    `SELECT ${BY_DEFAULT} AS "byDefault", (SELECT count(*)::integer FROM (${COLUMNS}) AS c) AS columns`,
  );
  const { byDefault, columns } = rows[0]!;
  const name = 'ids, tokens and keys compared as bytes';
  if (byDefault) return { name, found: 'as everything in this database', sql: [] };
  if (columns === 0 && !isPending) return { name, found: 'yes', sql: [] };
  return { name, found: `${columns} columns are compared as the database compares`, sql: [COMPARE_BYTES] };
}

/** Of a job's key: pg-boss's indexes compare as the database does. It makes no difference to what is equal. */
export const AS_IN_QUEUE = 'COLLATE pg_catalog."default"';
