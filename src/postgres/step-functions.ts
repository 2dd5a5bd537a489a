/** As event-functions.ts: what happens to steps, to several of one run at once. */
export const STEP_FUNCTIONS = `
-- p_start: how many of the steps are started at once, from the first; their ids follow those of the creations
CREATE OR REPLACE FUNCTION workflow_engine.create_steps(
  IN p_run text, IN p_ids text[], IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  IN p_spec integer, IN p_steps text[], IN p_names text[], IN p_inputs bytea[], IN p_payloads bytea[],
  IN p_start integer, IN p_start_payloads bytea[], IN p_deaths_limit integer,
  OUT previous text, OUT ids text[], OUT last text, OUT at timestamptz, OUT created text[], OUT started text[]
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  event record;
  run_status workflow.status;
  n integer := cardinality(p_steps);
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  event := workflow_engine.begin_event(p_run, p_ids, p_queue_schema, p_queue, p_job, p_retry_count);
  p_ids := event.ids;
  SELECT r.status INTO run_status FROM workflow.workflow_runs r WHERE r.id = p_run;
  IF NOT FOUND THEN RAISE SQLSTATE 'WF404' USING MESSAGE = 'gone'; END IF;
  IF run_status NOT IN ('pending', 'running') THEN RAISE SQLSTATE 'WF409' USING MESSAGE = 'in terminal state ' || run_status; END IF;
  -- the replay took its random numbers from a start that a crash of the server has taken
  IF run_status = 'pending' AND p_job IS NOT NULL THEN RAISE SQLSTATE 'WF001' USING MESSAGE = 'the start of the run is lost'; END IF;
  IF event.deaths >= p_deaths_limit THEN p_start := 0; END IF;
  WITH inserted AS (
    INSERT INTO workflow.workflow_steps (run_id, step_id, step_name, input_cbor, status, attempt, started_at, spec_version)
    SELECT p_run, s.id, s.name, s.input, (CASE WHEN s.n <= p_start THEN 'running' ELSE 'pending' END)::workflow.step_status,
           CASE WHEN s.n <= p_start THEN 1 ELSE 0 END, CASE WHEN s.n <= p_start THEN event.at END, p_spec
    FROM unnest(p_steps, p_names, p_inputs) WITH ORDINALITY AS s (id, name, input, n)
    ON CONFLICT DO NOTHING RETURNING step_id
  )
  SELECT coalesce(array_agg(step_id), '{}') INTO created FROM inserted;
  INSERT INTO workflow.workflow_events (id, type, correlation_id, created_at, run_id, payload_cbor, spec_version)
  SELECT 'wevt_' || s.id, 'step_created', s.step, event.at, p_run, s.payload, p_spec
  FROM unnest(p_ids[:n], p_steps, p_payloads) AS s (id, step, payload) WHERE s.step = ANY (created);
  started := ARRAY(SELECT s FROM unnest(p_steps[:p_start]) AS s WHERE s = ANY (created));
  INSERT INTO workflow.workflow_events (id, type, correlation_id, created_at, run_id, payload_cbor, spec_version)
  SELECT 'wevt_' || s.id, 'step_started', s.step, event.at, p_run, s.payload, p_spec
  FROM unnest(p_ids[n + 1:], p_steps[:p_start], p_start_payloads) AS s (id, step, payload) WHERE s.step = ANY (started);
  previous := event.previous;
  ids := p_ids;
  SELECT coalesce(max(i.id COLLATE "C"), event.previous) INTO last FROM unnest(p_ids, p_steps || p_steps[:p_start]) AS i (id, step)
  WHERE i.step = ANY (created);
  UPDATE workflow_engine.run_progress
  SET wake_seq = wake_seq + cardinality(created), last_event_id = last WHERE run_id = p_run;
  at := timezone('UTC', event.at);
END $$;

-- for each step: the row, or why it does not begin: no row, a terminal status, or the seconds until it may be tried again
CREATE OR REPLACE FUNCTION workflow_engine.start_steps(
  IN p_run text, IN p_ids text[], IN p_queue_schema text, IN p_queue text, IN p_job uuid, IN p_retry_count integer,
  IN p_spec integer, IN p_steps text[], IN p_payloads bytea[], IN p_deaths_limit integer
) RETURNS TABLE (
  previous text, id text, last text, at timestamptz, status text, retry_seconds integer, interruptions integer,
  attempt integer, name text, input bytea, created_at timestamptz, started_at timestamptz
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  event record;
  run_status workflow.status;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  event := workflow_engine.begin_event(p_run, p_ids, p_queue_schema, p_queue, p_job, p_retry_count);
  SELECT r.status INTO run_status FROM workflow.workflow_runs r WHERE r.id = p_run;
  -- world-postgres lets a step that is marked as running start again, even if its run was cancelled
  IF run_status IS DISTINCT FROM 'running' THEN
    RAISE SQLSTATE 'WF410' USING MESSAGE = coalesce(run_status::text, 'gone');
  END IF;
  IF event.deaths >= p_deaths_limit THEN RAISE SQLSTATE 'WF003' USING MESSAGE = 'must run alone'; END IF;
  previous := event.previous;
  last := event.previous;
  at := timezone('UTC', event.at);
  FOR n IN 1..cardinality(p_steps) LOOP
    -- of the row before
    id := NULL; interruptions := NULL; attempt := NULL; name := NULL; input := NULL; created_at := NULL; started_at := NULL;
    SELECT s.status, ceil(extract(epoch FROM s.retry_after - timezone('UTC', now()))) INTO status, retry_seconds
    FROM workflow.workflow_steps s WHERE s.step_id = p_steps[n] AND s.run_id || '' = p_run FOR UPDATE;
    IF status IN ('pending', 'running') AND coalesce(retry_seconds, 0) <= 0 THEN
      UPDATE workflow.workflow_steps AS s
      SET status = 'running', attempt = s.attempt + 1, started_at = coalesce(s.started_at, event.at), retry_after = NULL,
          updated_at = event.at
      WHERE s.step_id = p_steps[n]
      RETURNING s.attempt, s.step_name, s.input_cbor, timezone('UTC', s.created_at), timezone('UTC', s.started_at)
      INTO attempt, name, input, created_at, started_at;
      id := event.ids[n];
      last := id;
      INSERT INTO workflow.workflow_events (id, type, correlation_id, created_at, run_id, payload_cbor, spec_version)
      VALUES ('wevt_' || start_steps.id, 'step_started', p_steps[n], event.at, p_run, p_payloads[n], p_spec);
      IF status = 'running' THEN
        -- the runtime takes every start for an attempt (vercel/workflow #3992); this proves that the last never ended
        INSERT INTO workflow_engine.step_progress AS p (step_id, run_id, job_prefix, interruptions)
        SELECT p_steps[n], p_run, r.job_prefix, 1 FROM workflow_engine.run_progress r WHERE r.run_id = p_run
        ON CONFLICT (step_id) DO UPDATE SET interruptions = p.interruptions + 1;
        PERFORM workflow_engine.close_lost_calls(p_run, p_steps[n]);
      END IF;
      SELECT coalesce(max(p.interruptions), 0) INTO interruptions
      FROM workflow_engine.step_progress p WHERE p.step_id = p_steps[n];
    END IF;
    RETURN NEXT;
  END LOOP;
  UPDATE workflow_engine.run_progress SET last_event_id = last WHERE run_id = p_run;
END $$;

-- for each step: '' if its result was recorded; why not: its terminal status, or null if there is no such step
CREATE OR REPLACE FUNCTION workflow_engine.complete_steps(
  IN p_run text, IN p_ids text[], IN p_spec integer, IN p_steps text[], IN p_outputs bytea[], IN p_payloads bytea[],
  OUT previous text, OUT ids text[], OUT last text, OUT at timestamptz, OUT refusals text[]
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
  event record;
  was workflow.step_status;
  recorded integer := 0;
BEGIN
  event := workflow_engine.begin_event(p_run, p_ids, NULL, NULL, NULL, NULL);
  previous := event.previous;
  ids := event.ids;
  last := event.previous;
  at := timezone('UTC', event.at);
  FOR n IN 1..cardinality(p_steps) LOOP
    UPDATE workflow.workflow_steps
    SET status = 'completed', output_cbor = p_outputs[n], completed_at = event.at, updated_at = event.at
    WHERE step_id = p_steps[n] AND run_id || '' = p_run AND status IN ('pending', 'running');
    IF FOUND THEN
      recorded := recorded + 1;
      last := ids[n];
      refusals[n] := '';
      INSERT INTO workflow.workflow_events (id, type, correlation_id, created_at, run_id, payload_cbor, spec_version)
      VALUES ('wevt_' || last, 'step_completed', p_steps[n], event.at, p_run, p_payloads[n], p_spec);
    ELSE
      SELECT s.status INTO was FROM workflow.workflow_steps s WHERE s.step_id = p_steps[n] AND s.run_id || '' = p_run;
      refusals[n] := was;
    END IF;
  END LOOP;
  UPDATE workflow_engine.run_progress AS p
  SET wake_seq = p.wake_seq + recorded, last_event_id = last, deaths = CASE WHEN recorded > 0 THEN 0 ELSE p.deaths END
  WHERE run_id = p_run;
END $$;
`;
