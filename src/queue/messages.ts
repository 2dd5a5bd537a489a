import type { QueuePayload, RunInput, StepInvokePayload, WorkflowInvokePayload } from '@workflow/world';
import type { ValidQueueName } from '@workflow/world';

/** What a job of ours carries; pg-boss keeps it as JSON. */
export interface JobData {
  /** The runtime's name for the queue: it contains the name of the workflow or step. */
  queueName: ValidQueueName;
  payload: unknown;
}

/** What is left of a run that was given up. */
export interface DeadLetter extends JobData {
  reason: string;
}

const BYTES = '$bytes';

/** The payload with its bytes (the run's serialized input) as base64. */
export function encodePayload(payload: QueuePayload): unknown {
  if (!('runInput' in payload) || !(payload.runInput?.input instanceof Uint8Array)) return payload;
  const input = { [BYTES]: Buffer.from(payload.runInput.input).toString('base64') };
  return { ...payload, runInput: { ...payload.runInput, input } };
}

export function decodePayload(payload: unknown): WorkflowInvokePayload & StepInvokePayload {
  const decoded = payload as WorkflowInvokePayload & StepInvokePayload;
  const { runInput } = decoded as { runInput?: RunInput };
  const bytes = (runInput?.input as Record<string, string> | undefined)?.[BYTES];
  if (!runInput || bytes === undefined) return decoded;
  return { ...decoded, runInput: { ...runInput, input: new Uint8Array(Buffer.from(bytes, 'base64')) } };
}

/** Whose message it is; undefined for one that is about no run. */
export function runIdOf({ payload }: JobData): string | undefined {
  const { runId, workflowRunId } = payload as Partial<WorkflowInvokePayload & StepInvokePayload>;
  return workflowRunId ?? runId;
}
