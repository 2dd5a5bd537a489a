import { setTimeout as delay } from 'node:timers/promises';
import { EntityConflictError } from '@workflow/errors';
import { SPEC_VERSION_CURRENT } from '@workflow/world';
import { ConfigError } from '../config/config.ts';
import type { RunOverview } from '../postgres/run-overview.ts';
import { queueNames } from '../queue/boss.ts';
import { createJobTable } from '../queue/job-table.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { formatDuration } from './format.ts';
import type { Answer } from './output.ts';
import { findRun } from './status.ts';
import { shortName } from './timeline.ts';

/** Workers look every half second, and need a moment to kill what they run. */
const WORKERS_PATIENCE_MS = 3_000;
const LOOK_INTERVAL_MS = 50;

/**
 * `cancel RUN_ID`: ends a run, and waits a moment until nobody executes anything of it. Can be repeated.
 * @throws ConfigError for a run that is not there, or has ended otherwise, be it in this moment
 */
export async function answerCancel(running: RunningWorld, runId: string): Promise<Answer> {
  const { pool, config } = running;
  const run = await findRun(pool, config.jobPrefix, runId);
  const isNew = run.status !== 'cancelled';
  const startedAt = performance.now();
  if (isNew) await cancel(running, run);
  const isReleased = await untilReleased(running, run);
  const releasedAfterMs = isReleased ? Math.round(performance.now() - startedAt) : null;
  const [workflow, ...runningSteps] = [run.workflowName, ...run.runningSteps].map(shortName);
  const lines = [
    isNew ? `Cancelled ${workflow}: run ${runId}` : `${workflow} was cancelled before: run ${runId}`,
    ...(isNew ? [describeSteps(runningSteps)] : []),
    describeRelease(isNew, releasedAfterMs),
    `  Anew, from its input: npm run postgres-world:redrive -- ${runId}`,
  ];
  return {
    text: lines.join('\n'),
    document: { workflow, runId, status: 'cancelled', isNew, runningSteps, releasedAfterMs },
  };
}

async function cancel(running: RunningWorld, { runId, status }: RunOverview): Promise<void> {
  if (status === 'completed' || status === 'failed') {
    throw new ConfigError(`${runId} is ${status}: only a run that has not ended can be cancelled.`);
  }
  try {
    await running.world.events.create(runId, { eventType: 'run_cancelled', specVersion: SPEC_VERSION_CURRENT });
  } catch (error) {
    if (!EntityConflictError.is(error)) throw error;
    const { status: now } = await findRun(running.pool, running.config.jobPrefix, runId);
    throw new ConfigError(`${runId} is ${now}: it has ended in this moment, before it was cancelled.`, {
      cause: error,
    });
  }
}

async function untilReleased({ pool, config }: RunningWorld, { runId, deploymentId }: RunOverview): Promise<boolean> {
  const jobs = createJobTable(pool, config.queueSchema);
  const queues = queueNames(config.jobPrefix, deploymentId);
  const deadline = performance.now() + WORKERS_PATIENCE_MS;
  while (await jobs.isWorkedOn(queues, runId)) {
    if (performance.now() > deadline) return false;
    await delay(LOOK_INTERVAL_MS);
  }
  return true;
}

function describeSteps(names: readonly string[]): string {
  if (names.length === 0) return '  No step of it was being executed.';
  const [steps, calls] =
    names.length === 1 ? ['1 step was', 'its model call is'] : [`${names.length} steps were`, 'their model calls are'];
  return `  ${steps} being executed (${names.join(', ')}): ${calls} killed.`;
}

function describeRelease(isNew: boolean, releasedAfterMs: number | null): string {
  if (releasedAfterMs === null) return NOT_RELEASED;
  return isNew ? `  After ${formatDuration(releasedAfterMs)}, no worker holds it any more.` : '  No worker holds it.';
}

const NOT_RELEASED = `  ⚠ A worker still holds it after ${formatDuration(WORKERS_PATIENCE_MS)}: it hangs, is cut off, or its step does not heed
    currentStep().signal. The run stays cancelled.`;
