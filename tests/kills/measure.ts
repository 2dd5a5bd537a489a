import { setTimeout as delay } from 'node:timers/promises';
import type { TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';
import type { Crew, Member } from './crew.ts';
import type { Situation } from './situations.ts';

/** How a worker goes: by SIGKILL, by SIGSTOP, or without its network. */
export type Blow = 'killed' | 'hung' | 'cut off';

export interface Measurement {
  blow: Blow;
  situation: string;
  /** How many workers were left. */
  survivors: number;
  runId: string;
  /** Until the first new event; in a wait, since it was due. */
  latencyMs: number;
  /** Steps that were executed again, and were running. */
  repeated: number;
  /** What must not have happened. */
  violations: string[];
}

export interface MeasureOptions {
  database: TestDatabase;
  crew: Crew;
  situation: Situation;
  blow: Blow;
  /** From 0 to 1: decides the moment. */
  random(): number;
  start(workflow: string, args: unknown[]): Promise<string>;
}

/** Starts a run, strikes its driver, and watches the others. Undefined: the run had ended before. */
export async function measure(options: MeasureOptions): Promise<Measurement | undefined> {
  const { database, crew, situation, blow, random, start } = options;
  const runId = await start(situation.workflow, situation.args);
  const victim = await crew.driverOf(runId);
  const moment = random();
  await until(`${runId} is ${situation.name}`, () => situation.reached(database, runId, moment));
  await delay(random() * situation.withinMs);

  const [clock] = await database.query<{ at: Date }>('SELECT clock_timestamp() AS at');
  crew.remove(victim);
  if (blow === 'cut off') victim.network?.cut('silently');
  else victim.program.kill(blow === 'killed' ? 'SIGKILL' : 'SIGSTOP');
  await untilSilent(database, victim, blow);
  const before = await readLog(database, runId);
  if (before.ended) {
    victim.program.kill('SIGKILL');
    return undefined;
  }

  const latencyMs = await until(`${runId} goes on`, () => readLatency(database, runId, before.lastEventId, clock!.at));
  // That it does no harm when it comes back is shown by tests/chaos.
  victim.program.kill('SIGKILL');
  const { status } = await until(`${runId} has ended`, async () => {
    const log = await readLog(database, runId);
    return log.ended && log;
  });
  const executions = await readExecutions(database, runId, before.lastEventId);
  const violations = executions.flatMap(({ stepId, times, completed }) => {
    if (completed && times > 1) return [`${stepId} of ${runId} was completed, and executed again`];
    return times > 2 ? [`${stepId} of ${runId} was executed ${times} times`] : [];
  });
  if (status !== 'completed') violations.push(`${runId} is ${status}`);
  return {
    blow,
    situation: situation.name,
    survivors: crew.size,
    runId,
    latencyMs: Math.round(latencyMs.ms),
    repeated: executions.filter(({ times }) => times > 1).length,
    violations,
  };
}

/**
 * The victim writes nothing any more: what it had sent is committed, or never will be. The sessions of
 * one that hangs stay, and may have read its last statement a moment later.
 */
async function untilSilent({ query }: TestDatabase, { name, program }: Member, blow: Blow): Promise<void> {
  if (blow === 'killed') await program.exited;
  await until(`the sessions of ${name} are silent`, async () => {
    const busy = await query(
      `SELECT FROM pg_stat_activity WHERE application_name = $1
         AND ($2 OR state = 'active' OR state_change > clock_timestamp() - interval '0.5 s')`,
      [name, blow === 'killed'],
    );
    return busy.length === 0;
  });
}

interface Log {
  status: string;
  ended: boolean;
  lastEventId: string;
}

async function readLog({ query }: TestDatabase, runId: string): Promise<Log> {
  const [log] = await query<Log>(
    `SELECT status::text, status NOT IN ('pending', 'running') AS ended,
            (SELECT max(id) FROM workflow.workflow_events WHERE run_id = r.id) AS "lastEventId"
     FROM workflow.workflow_runs r WHERE id = $1`,
    [runId],
  );
  return log!;
}

/** Both times by the clock of the database. */
async function readLatency({ query }: TestDatabase, runId: string, lastEventId: string, killedAt: Date) {
  const [first] = await query<{ ms: number | null }>(
    `SELECT 1000 * extract(epoch FROM min(e.created_at) - greatest(
              $3::timestamptz AT TIME ZONE 'UTC',
              (SELECT max(resume_at) FROM workflow.workflow_waits WHERE run_id = $1)))::float AS ms
     FROM workflow.workflow_events e WHERE e.run_id = $1 AND e.id > $2`,
    [runId, lastEventId, killedAt],
  );
  return first?.ms === null || first === undefined ? undefined : { ms: first.ms };
}

/** How often each step was executed, by its own account, and whether it was completed before the blow. */
function readExecutions({ query }: TestDatabase, runId: string, lastEventId: string) {
  return query<{ stepId: string; times: number; completed: boolean }>(
    `SELECT step_id AS "stepId", count(*)::int AS times, EXISTS (
       SELECT FROM workflow.workflow_events e WHERE e.run_id = $1 AND e.correlation_id = x.step_id
         AND e.type = 'step_completed' AND e.id <= $2) AS completed
     FROM executions x WHERE run_id = $1 GROUP BY step_id`,
    [runId, lastEventId],
  );
}
