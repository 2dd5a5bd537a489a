import {
  EntityConflictError,
  RunExpiredError,
  TooEarlyError,
  WorkflowRunNotFoundError,
  WorkflowWorldError,
} from '@workflow/errors';
import type { AnyEventRequest } from '@workflow/world';
import { GarbageError, LeaseLostError, MustRunAloneError } from '../runtime/scope.ts';
import { reasonOf } from './reason.ts';
import { refusesValue, UnstorableError } from './storable.ts';

/** An event of a step that was refused, while others of the same statement were written. */
export class StepRefusal extends Error {
  readonly status: string | null;
  readonly retrySeconds: number | null;

  /** @param status of the step; null: there is none */
  constructor(status: string | null, retrySeconds: number | null = null) {
    super(status ?? 'missing');
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

/** Whether an event was refused because its run has ended. */
export function saysRunEnded(error: unknown, { eventType }: AnyEventRequest): boolean {
  const { code } = (error ?? {}) as { code?: string };
  return code === 'WF410' || (code === 'WF409' && eventType !== 'run_created');
}

/** The error that the runtime, or the driver, expects where an event was refused; any other as it is. */
export function asWorldError(error: unknown, runId: string, { eventType, correlationId }: AnyEventRequest): unknown {
  const refused = `${eventType} of ${correlationId ?? runId} refused`;
  if (error instanceof StepRefusal) {
    const { status, retrySeconds } = error;
    if (status === null && eventType === 'step_started')
      return new GarbageError(`${runId} has no step ${correlationId}`);
    if (status === null) return new WorkflowWorldError(`${refused}: there is no such step`);
    if (retrySeconds === null || retrySeconds <= 0)
      return new EntityConflictError(`${refused}: it is in terminal state "${status}"`);
    return new TooEarlyError(`${refused} for ${retrySeconds} s`, { retryAfter: retrySeconds });
  }
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  switch (code) {
    case 'WF001':
      return new LeaseLostError(`${refused}: ${message} (${runId})`);
    case 'WF002':
      return new GarbageError(`${refused}: ${message}`);
    case 'WF003':
      return new MustRunAloneError(runId);
    case 'WF404':
      // A late job of a run that was removed.
      if (eventType === 'run_started' || eventType === 'step_started')
        return new RunExpiredError(`${refused}: the run is gone`);
      return new WorkflowRunNotFoundError(runId);
    case 'WF409':
      return new EntityConflictError(`${refused}: ${message}`);
    case 'WF410':
      return new RunExpiredError(`${refused}: its run is ${message}`);
    default:
      return refusesValue(error) ? new UnstorableError(`${refused}: ${reasonOf(error)}`, { cause: error }) : error;
  }
}
