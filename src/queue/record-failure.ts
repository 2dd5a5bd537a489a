import { EntityConflictError, RunExpiredError, RUN_ERROR_CODES, WorkflowRunNotFoundError } from '@workflow/errors';
import { SPEC_VERSION_CURRENT, type AnyEventRequest } from '@workflow/world';
import { reasonOf } from '../postgres/reason.ts';
import currentWorld from '../runtime/current-world.ts';
import type { StepMessage } from '../runtime/scope.ts';
import { workflowQueueName } from './world-queue.ts';

/** It has a result, or its run has ended, or is gone. */
const NOTHING_TO_FAIL = [EntityConflictError, RunExpiredError, WorkflowRunNotFoundError];

/**
 * Fails a step for what every execution of it would meet again; call it in the step's scope.
 * @returns the reason
 */
export async function recordStepFailure({ queueName, payload }: StepMessage, error: unknown): Promise<string> {
  const { workflowRunId: runId, stepId, workflowName } = payload;
  const stepName = queueName.replace(/^__wkf_step_/, '');
  const reason = `The step "${stepName.split('//').at(-1)}" has failed, and would again: ${describe(error)}`;
  await record(runId, {
    eventType: 'step_failed',
    specVersion: SPEC_VERSION_CURRENT,
    correlationId: stepId,
    eventData: { stepName, error: reason },
  });
  await currentWorld().queue(workflowQueueName(workflowName), { runId });
  return reason;
}

/** Fails a run for what every replay of it would meet again; call it in the scope of a replay. */
export async function recordRunFailure(runId: string, error: unknown): Promise<string> {
  const message = describe(error);
  const { stack } = error instanceof Error ? error : {};
  const eventData = { error: { message, ...(stack && { stack }) }, errorCode: RUN_ERROR_CODES.RUNTIME_ERROR };
  await record(runId, { eventType: 'run_failed', specVersion: SPEC_VERSION_CURRENT, eventData });
  return message;
}

export async function record(
  runId: string,
  event: Exclude<AnyEventRequest, { eventType: 'run_created' }>,
): Promise<void> {
  await currentWorld()
    .events.create(runId, event)
    .catch((error: unknown) => {
      if (!NOTHING_TO_FAIL.some((kind) => kind.is(error))) throw error;
    });
}

/** The message, and where the runtime has wrapped something, that: `Failed to serialize …` does not say why. */
function describe(error: unknown): string {
  const { message } = error instanceof Error ? error : { message: String(error) };
  const reason = reasonOf(error);
  return message.includes(reason) ? message : `${message} (${reason})`;
}
