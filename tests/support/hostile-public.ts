import { randomBytes } from 'node:crypto';
import { inject, onTestFinished } from 'vitest';
import { createTestDatabase, nameOf, query, type TestDatabase } from './database.ts';

export interface HostileDatabase extends TestDatabase {
  /** Who has made it so. */
  attacker: string;
  /** What of it was called, in whose name, and by which statement. */
  calls(): Promise<{ called: string; application: string; statement: string }[]>;
}

/** What is written down outlives the transaction of the call: a sequence does not roll back. */
const WATCH = `
  CREATE SCHEMA watch;
  CREATE SEQUENCE watch.count;
  CREATE TABLE watch.calls (called text, application text, statement text);
  CREATE FUNCTION watch.note(called text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    PERFORM nextval('watch.count');
    INSERT INTO watch.calls VALUES (called, current_setting('application_name'), current_query());
  END $$;
  CREATE FUNCTION watch.noted(called text) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM watch.note(called);
    RETURN true;
  END $$;
  GRANT USAGE ON SCHEMA watch TO PUBLIC;
  GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC`;

/** For each parameter of PostgreSQL's own functions, types that fit an argument better than it does. */
const BETTER = `
  CREATE TEMP TABLE better (given oid, type regtype);
  INSERT INTO better VALUES
    ('text'::regtype, 'varchar'), ('text'::regtype, 'name'), ('text'::regtype, 'text'),
    ('anyarray'::regtype, 'text[]'), ('anyarray'::regtype, 'varchar[]'), ('anyarray'::regtype, 'bytea[]'),
    ('anyarray'::regtype, 'integer[]'), ('anycompatiblearray'::regtype, 'text[]'),
    ('"any"'::regtype, 'text'), ('"any"'::regtype, 'varchar'), ('"any"'::regtype, 'integer'), ('"any"'::regtype, 'uuid'),
    ('anyelement'::regtype, 'text'), ('anyelement'::regtype, 'varchar'), ('anyelement'::regtype, 'timestamp'),
    ('anynonarray'::regtype, 'text'), ('anynonarray'::regtype, 'varchar'), ('anycompatible'::regtype, 'text'),
    ('double precision'::regtype, 'integer'), ('numeric'::regtype, 'integer'), ('bigint'::regtype, 'integer'),
    ('regclass'::regtype, 'text'), ('regclass'::regtype, 'oid'), ('name'::regtype, 'text'), ('record'::regtype, 'text')`;

const FUNCTIONS = `DO $$
DECLARE
  f record;
BEGIN
  FOR f IN
    WITH own AS (
      SELECT DISTINCT proname AS name, proargtypes::oid[] AS args, provariadic
      FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND pronargs BETWEEN 1 AND 4
        AND NOT proargtypes::oid[] && '{internal,cstring,trigger,event_trigger,language_handler,fdw_handler}'::regtype[]::oid[]
    ), variant AS (
      -- all parameters of one type replaced by the same better one, or one of them alone
      SELECT name, ARRAY(SELECT CASE WHEN a = b.given THEN b.type ELSE a::regtype END FROM unnest(args) WITH ORDINALITY AS u (a, n) ORDER BY n) AS types
      FROM own JOIN better b ON b.given = ANY (args)
      UNION
      SELECT name, ARRAY(SELECT CASE WHEN n = m THEN b.type ELSE a::regtype END FROM unnest(args) WITH ORDINALITY AS u (a, n) ORDER BY n)
      FROM own, generate_series(1, cardinality(args)) AS m JOIN better b ON true WHERE b.given = args[m]
      UNION
      SELECT name, array_fill(t.type, ARRAY[k]) FROM own, generate_series(1, 3) AS k, (VALUES ('text'::regtype), ('varchar')) AS t (type)
      WHERE provariadic <> 0
    )
    SELECT name, types FROM variant v
    WHERE NOT EXISTS (SELECT FROM unnest(types) AS t JOIN pg_type y ON y.oid = t WHERE y.typtype = 'p')
      AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.proname = v.name AND p.proargtypes::oid[]::regtype[] = v.types)
  LOOP
    EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql AS $b$BEGIN PERFORM watch.note(%L); RETURN NULL; END$b$',
      f.name, array_to_string(f.types, ', '), f.name || '(' || array_to_string(f.types, ', ') || ')');
  END LOOP;
END $$`;

const OPERATORS = `DO $$
DECLARE
  o record;
BEGIN
  FOR o IN
    WITH type (type) AS (
      SELECT unnest('{text,varchar,name,integer,bigint,oid,timestamp,timestamptz,uuid,jsonb,text[]}'::regtype[])
    )
    SELECT s.op, l.type AS l, r.type AS r, row_number() OVER () AS n
    FROM unnest('{=,<>,<,<=,>,>=,||,~~,!~~,~,!~,->,->>,#>>,#>,+,-,*,/,<<,>>,|,&,@>,&&,?}'::text[]) AS s (op), type AS l, type AS r
    WHERE NOT EXISTS (SELECT FROM pg_operator p WHERE p.oprname = s.op AND p.oprleft = l.type AND p.oprright = r.type)
      AND NOT (s.op IN ('->', '->>', '#>>', '#>') AND l.type <> 'jsonb'::regtype)
  LOOP
    EXECUTE format('CREATE FUNCTION public.op_%s(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $b$BEGIN PERFORM watch.note(%L); RETURN NULL; END$b$',
      o.n, o.l, o.r, format('%s %s %s', o.l, o.op, o.r));
    EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.op_%s, LEFTARG = %s, RIGHTARG = %s)', o.op, o.n, o.l, o.r);
  END LOOP;
END $$`;

/** Types by the names of those that are no words of the grammar, and PostgreSQL's own tables and views. */
const TYPES_AND_TABLES = `DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY '{text,name,bytea,uuid,json,jsonb,oid,regclass,regnamespace,regtype,int2,int4,int8,float4,float8,bool,timestamptz,date}'::text[] LOOP
    EXECUTE format('CREATE DOMAIN public.%1$I AS pg_catalog.%1$I CHECK (watch.noted(%2$L))', name, 'type ' || name);
  END LOOP;
  FOREACH name IN ARRAY '{pg_class,pg_namespace,pg_proc,pg_type,pg_roles,pg_database,pg_locks,pg_stat_activity,pg_settings,pg_db_role_setting,pg_index,pg_indexes,pg_constraint,pg_description}'::text[] LOOP
    EXECUTE format('CREATE VIEW public.%1$I AS SELECT c.* FROM (SELECT watch.note(%2$L) OFFSET 0) AS w, pg_catalog.%1$I AS c', name, 'table ' || name);
    EXECUTE format('GRANT SELECT ON public.%I TO PUBLIC', name);
  END LOOP;
END $$`;

/** The exact case that was seen: whoever else calls it, makes its author a superuser. */
const escalation = (role: string) => `
  CREATE OR REPLACE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM watch.note('quote_ident(name)');
    IF current_user <> '${role}' THEN EXECUTE 'ALTER ROLE ${role} SUPERUSER'; END IF;
    RETURN pg_catalog.quote_ident($1::text);
  END $$`;

/**
 * An empty database, in whose `public` everybody may create, which is PostgreSQL's default up to version 14. A role
 * without any other right has made there a better fitting function or operator for whatever may be called by its name
 * alone, and types and tables with the names of PostgreSQL's own; and the path of the database has `public` before PostgreSQL's own.
 */
export async function createHostileDatabase(): Promise<HostileDatabase> {
  const server = inject('serverUrl');
  const attacker = `attacker_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE ROLE ${attacker} LOGIN PASSWORD 'secret'`);
  // After the database, with all that it owns.
  onTestFinished(async ({ task }) => {
    if (task.result?.state !== 'fail') await query(server, `DROP ROLE ${attacker}`);
  });
  const database = await createTestDatabase({ setUp: false });
  await database.query(WATCH);
  const url = Object.assign(new URL(database.url), { username: attacker, password: 'secret' }).href;
  const safely = 'SET search_path = pg_catalog, pg_temp';
  await query(url, [safely, BETTER, FUNCTIONS, OPERATORS, escalation(attacker), TYPES_AND_TABLES].join(';\n'));
  await database.query(`ALTER DATABASE ${nameOf(database)} SET search_path = public, pg_catalog`);
  return {
    ...database,
    attacker,
    // This session is a victim, too: nothing in it has a better fitting name.
    calls: () => database.query('SELECT called, application, statement FROM watch.calls'),
  };
}
