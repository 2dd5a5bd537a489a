import { RUN_ERROR_CODES } from '@workflow/errors';
import { SPEC_VERSION_CURRENT } from '@workflow/world';
import { DEAD_AFTER_DEATHS } from '../postgres/deaths.ts';
import { runInScope, type Lease } from '../runtime/scope.ts';
import type { DriverContext } from './drive-run.ts';
import type { JobData } from './messages.ts';
import { record } from './record-failure.ts';
import { createReplayScope } from './replay-run.ts';

/**
 * Ends a run of which too many workers died: first a dead letter, so that somebody learns of it, then
 * the event. Whoever dies in between leaves both to the next one: the letter has a key.
 */
export async function failPoisoned(runId: string, job: JobData, lease: Lease, context: DriverContext): Promise<void> {
  const reason =
    `${DEAD_AFTER_DEATHS} workers died of this run without a recorded result, at last alone with it. ` +
    `Once the cause is mended: npm run postgres-world:redrive -- ${runId}`;
  context.log(`Run ${runId} has failed: ${reason}`);
  await context.jobs.sendDeadLetter(context.queues.dead, runId, {
    queueName: job.queueName,
    payload: { runId },
    reason,
  });
  const failed = {
    eventType: 'run_failed',
    specVersion: SPEC_VERSION_CURRENT,
    eventData: { error: { message: reason }, errorCode: RUN_ERROR_CODES.MAX_DELIVERIES_EXCEEDED },
  } as const;
  // It may have ended meanwhile, cancelled for example.
  await runInScope(createReplayScope(runId, lease), () => record(runId, failed));
}
