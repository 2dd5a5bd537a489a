/**
 * The events that every run and every step has, as functions in the database: each call is one statement,
 * one round trip and one transaction, also behind a pooler (the server keeps the plans). What they write
 * is what world-postgres writes. The less frequent events go through world-postgres itself; see "One
 * transaction per event" in docs/ARCHITECTURE.md.
 *
 * A plan that was made when the tables were empty is kept, and would grow slow with them until somebody analyzes
 * them: so none may plan a sequential scan, and where two indexes would do (a step's, and its run's), one of the
 * conditions is written so that only the right one does.
 *
 * Each has a path of its own, whatever that of its caller is: see own-names.ts.
 *
 * Ids are ULIDs without `wevt_`. The log is read in their order, byte by byte, so they sort after `previous`, the
 * run's last one before. `at` is the time of the transaction, but never before that of the event that came first to the
 * lock of the run: the clock of a workflow must not go back.
 */
export const RUN_FUNCTIONS = `
-- the ids, with a later time if they do not sort after the last one: a millisecond later rather than one
-- more, because that one may be another run's, and an id belongs to one event of all runs
CREATE OR REPLACE FUNCTION workflow_engine.ids_after(p_last text, p_ids text[]) RETURNS text[] LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  digits constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  ms bigint := 1;
  time text;
BEGIN
  IF p_last IS NULL OR p_last < p_ids[1] COLLATE "C" THEN RETURN p_ids; END IF;
  SELECT 1 + sum((strpos(digits, substr(p_last, n, 1)) - 1)::bigint << (5 * (10 - n))) INTO ms FROM generate_series(1, 10) AS n;
  SELECT string_agg(substr(digits, ((ms >> (5 * (10 - n))) & 31)::integer + 1, 1), '' ORDER BY n) INTO time
  FROM generate_series(1, 10) AS n;
  RETURN ARRAY(SELECT time || substr(id, 11) FROM unnest(p_ids) WITH ORDINALITY AS i (id, n) ORDER BY n);
END $$;

-- The schema of the queue comes as a name; one that is put into the text has each call planned anew (0.2 ms).
CREATE OR REPLACE FUNCTION workflow_engine.begin_event(
  IN p_run text, IN p_ids text[], IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  OUT previous text, OUT ids text[], OUT at timestamp, OUT deaths integer
) LANGUAGE plpgsql SET lock_timeout = '5s' SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  flows text;
  steps text;
BEGIN
  -- events of one run come one after the other
  SELECT p.last_event_id, p.deaths, p.job_prefix || 'flows.' || p.deployment_id, p.job_prefix || 'steps.' || p.deployment_id
  INTO previous, deaths, flows, steps
  FROM workflow_engine.run_progress p WHERE p.run_id = p_run FOR UPDATE;
  IF NOT FOUND THEN RAISE SQLSTATE 'WF404' USING MESSAGE = 'gone'; END IF;
  IF p_job IS NOT NULL THEN
    -- another application's, or of other code: a job that says otherwise is none
    IF p_queue NOT IN (flows, steps) THEN RAISE SQLSTATE 'WF002' USING MESSAGE = 'the run belongs to the queue ' || flows; END IF;
    PERFORM set_config('search_path', quote_ident(p_queue_schema) || ', pg_temp', true);
    PERFORM FROM job j WHERE j.name = p_queue AND j.id = p_job AND j.retry_count = p_retry_count AND j.state = 'active'
      -- the run's one job, or one of a step of it: with another key, there could be two that drive it
      AND j.group_id = p_run AND (j.singleton_key = p_run OR p_queue = steps) FOR SHARE;
    IF NOT FOUND THEN RAISE SQLSTATE 'WF001' USING MESSAGE = 'the lease is gone'; END IF;
    -- under two paths in turns, what follows would be planned anew each time
    PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  END IF;
  ids := workflow_engine.ids_after(previous, p_ids);
  SELECT greatest(timezone('UTC', now()), max(e.created_at)) INTO at
  FROM workflow.workflow_events e WHERE e.id = 'wevt_' || previous;
END $$;

CREATE OR REPLACE FUNCTION workflow_engine.create_run(
  IN p_run text, IN p_id text, IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  IN p_spec integer, IN p_job_prefix text, IN p_deployment text, IN p_workflow text,
  IN p_input bytea, IN p_context bytea, IN p_payload bytea, OUT id text, OUT at timestamptz
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
  INSERT INTO workflow_engine.run_progress (run_id, job_prefix, deployment_id, workflow_name)
  VALUES (p_run, p_job_prefix, p_deployment, p_workflow) ON CONFLICT (run_id) DO NOTHING;
  p_id := (workflow_engine.begin_event(p_run, ARRAY[p_id], p_queue_schema, p_queue, p_job, p_retry_count)).ids[1];
  INSERT INTO workflow.workflow_runs (id, deployment_id, name, spec_version, input_cbor, execution_context_cbor, status)
  VALUES (p_run, p_deployment, p_workflow, p_spec, p_input, p_context, 'pending') ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RAISE SQLSTATE 'WF409' USING MESSAGE = 'it exists'; END IF;
  INSERT INTO workflow.workflow_events (id, type, run_id, payload_cbor, spec_version)
  VALUES ('wevt_' || p_id, 'run_created', p_run, p_payload, p_spec);
  UPDATE workflow_engine.run_progress SET wake_seq = wake_seq + 1, last_event_id = p_id WHERE run_id = p_run;
  id := p_id;
  at := now();
END $$;

-- with the log, of which nothing is missing then, and the number that belongs to it: only as much of it as fits
-- into the buffers of a socket, because the row is locked until all is sent, and who reads it may have been stopped
CREATE OR REPLACE FUNCTION workflow_engine.start_run(
  IN p_run text, IN p_id text, IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  IN p_spec integer, IN p_deaths_limit integer
) RETURNS TABLE (
  started boolean, started_at timestamptz, wake_seq integer, last text, id text, type text, correlation_id text,
  created_at timestamptz, payload jsonb, payload_cbor bytea, spec_version integer
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  event record;
  run_status workflow.status;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  event := workflow_engine.begin_event(p_run, ARRAY[p_id], p_queue_schema, p_queue, p_job, p_retry_count);
  IF event.deaths >= p_deaths_limit THEN RAISE SQLSTATE 'WF003' USING MESSAGE = 'must run alone'; END IF;
  p_id := event.ids[1];
  SELECT r.status, timezone('UTC', r.started_at) INTO run_status, started_at FROM workflow.workflow_runs r WHERE r.id = p_run;
  IF NOT FOUND THEN RAISE SQLSTATE 'WF404' USING MESSAGE = 'gone'; END IF;
  IF run_status NOT IN ('pending', 'running') THEN RAISE SQLSTATE 'WF410' USING MESSAGE = run_status; END IF;
  started := run_status = 'pending';
  IF started THEN
    started_at := timezone('UTC', event.at);
    UPDATE workflow.workflow_runs r SET status = 'running', started_at = event.at, updated_at = event.at WHERE r.id = p_run;
    INSERT INTO workflow.workflow_events (id, type, created_at, run_id, spec_version)
    VALUES ('wevt_' || p_id, 'run_started', event.at, p_run, p_spec);
    UPDATE workflow_engine.run_progress p SET wake_seq = p.wake_seq + 1, last_event_id = p_id WHERE p.run_id = p_run;
  END IF;
  RETURN QUERY
    SELECT start_run.started, start_run.started_at, p.wake_seq, p.last_event_id, e.id::text, e.type::text,
           e.correlation_id::text, timezone('UTC', e.created_at), e.payload, e.payload_cbor, e.spec_version
    FROM workflow_engine.run_progress p
    LEFT JOIN (
      SELECT first.*, sum(300 + coalesce(octet_length(first.payload_cbor), 0)) OVER (ORDER BY first.id) AS bytes
      FROM (SELECT * FROM workflow.workflow_events w WHERE w.run_id = p_run ORDER BY w.id LIMIT 200) AS first
    ) AS e ON e.bytes < 65536
    WHERE p.run_id = p_run ORDER BY e.id;
END $$;

CREATE OR REPLACE FUNCTION workflow_engine.complete_run(
  IN p_run text, IN p_id text, IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  IN p_spec integer, IN p_output bytea, IN p_payload bytea, OUT previous text, OUT id text, OUT at timestamptz
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  event record;
  was workflow.status;
BEGIN
  event := workflow_engine.begin_event(p_run, ARRAY[p_id], p_queue_schema, p_queue, p_job, p_retry_count);
  id := event.ids[1];
  UPDATE workflow.workflow_runs
  SET status = 'completed', output_cbor = p_output, completed_at = event.at, updated_at = event.at
  WHERE workflow_runs.id = p_run AND status IN ('pending', 'running');
  IF NOT FOUND THEN
    SELECT r.status INTO was FROM workflow.workflow_runs r WHERE r.id = p_run;
    IF NOT FOUND THEN RAISE SQLSTATE 'WF404' USING MESSAGE = 'gone'; END IF;
    RAISE SQLSTATE 'WF409' USING MESSAGE = 'in terminal state ' || was;
  END IF;
  DELETE FROM workflow.workflow_hooks WHERE run_id = p_run;
  DELETE FROM workflow.workflow_waits WHERE run_id = p_run;
  PERFORM workflow_engine.close_lost_calls(p_run, NULL);
  INSERT INTO workflow.workflow_events (id, type, created_at, run_id, payload_cbor, spec_version)
  VALUES ('wevt_' || complete_run.id, 'run_completed', event.at, p_run, p_payload, p_spec);
  -- whatever else is in the log, there is nothing left to do
  UPDATE workflow_engine.run_progress
  SET wake_seq = wake_seq + 1, seen_seq = wake_seq + 1, due_at = NULL, awaits_steps = false, last_event_id = complete_run.id
  WHERE run_id = p_run;
  previous := event.previous;
  at := timezone('UTC', event.at);
END $$;

-- until the transaction ends, no other run of the prefix can find out whether the token is taken
CREATE OR REPLACE FUNCTION workflow_engine.claim_token(p_job_prefix text, p_token text) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '5s' SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO workflow_engine.token_claims VALUES (p_job_prefix, sha256(convert_to(p_token, 'UTF8')));
  DELETE FROM workflow_engine.token_claims c
  WHERE c.job_prefix = p_job_prefix AND c.token = sha256(convert_to(p_token, 'UTF8'));
END $$;

CREATE OR REPLACE FUNCTION workflow_engine.close_lost_calls(p_run text, p_step text) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE workflow_engine.model_calls SET outcome = 'lost', ended_at = now()
  WHERE run_id = p_run AND (p_step IS NULL OR step_id = p_step) AND outcome IS NULL
$$;
`;
