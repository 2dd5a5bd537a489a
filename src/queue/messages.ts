import {
  HealthCheckPayloadSchema,
  StepInvokePayloadSchema,
  WorkflowInvokePayloadSchema,
  type QueuePayload,
  type RunInput,
  type StepInvokePayload,
  type ValidQueueName,
  type WorkflowInvokePayload,
} from '@workflow/world';
import { GarbageError } from '../runtime/scope.ts';

/** What a job of ours carries; pg-boss keeps it as JSON. */
export interface JobData {
  /** The runtime's name for the queue: it contains the name of the workflow or step. */
  queueName: ValidQueueName;
  payload: unknown;
}

/** What is left of a run that was given up, or of a job that can never be carried out. */
export interface DeadLetter {
  /** As it was in the job, if that was one of ours. */
  queueName?: string;
  payload: unknown;
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
  const bytes = bytesOf(runInput) as string | undefined;
  if (!runInput || bytes === undefined) return decoded;
  return { ...decoded, runInput: { ...runInput, input: new Uint8Array(Buffer.from(bytes, 'base64')) } };
}

/** Whose message it is; undefined for one that is about no run. */
export function runIdOf({ payload }: JobData): string | undefined {
  const { runId, workflowRunId } = payload as Partial<WorkflowInvokePayload & StepInvokePayload>;
  return workflowRunId ?? runId;
}

/** Longer ones are nobody's, and would be repeated in every line of the log. */
const LONGEST_ID = 255;
const LONGEST_NAME = 2_000;

const PAYLOADS = { flows: WorkflowInvokePayloadSchema, steps: StepInvokePayloadSchema };

const kindOfQueue = { flows: 'workflow', steps: 'step' } as const;

/**
 * What a job of a queue carries: whoever may write into the table may have put anything there.
 * @param job `groupId`: the run that it was sent for
 * @throws GarbageError
 */
export function parseJob(kind: 'flows' | 'steps', job: { data: unknown; groupId?: string | null }): JobData {
  const { queueName, payload } = (job.data ?? {}) as Partial<JobData>;
  if (kindOf(queueName) !== kindOfQueue[kind]) throw new GarbageError(`it names no ${kindOfQueue[kind]}`);
  const isHealthCheck = kind === 'flows' && HealthCheckPayloadSchema.safeParse(payload).success;
  if (!isHealthCheck) assertMessage(kind, payload, job.groupId);
  return { queueName: queueName!, payload };
}

function assertMessage(kind: 'flows' | 'steps', payload: unknown, groupId: string | null | undefined): void {
  const { data, error } = PAYLOADS[kind].safeParse(payload);
  if (!data) {
    const [issue] = error.issues;
    throw new GarbageError(
      `it is no message of a ${kindOfQueue[kind]}: ${['payload', ...issue!.path].join('.')}: ${issue!.message}`,
    );
  }
  const ids = 'stepId' in data ? [data.workflowRunId, data.stepId, data.workflowName] : [data.runId];
  if (ids.some(({ length }) => length === 0 || length > LONGEST_ID)) throw new GarbageError('an id in it is none');
  if (ids[0] !== groupId) throw new GarbageError(`it is about ${ids[0]}, and was not sent for that run`);
  if ('runInput' in data && typeof (bytesOf(data.runInput) ?? '') !== 'string')
    throw new GarbageError('the bytes of its input are none');
}

function bytesOf(runInput: RunInput | undefined): unknown {
  return (runInput?.input as Record<string, unknown> | null | undefined)?.[BYTES];
}

/** Of the runtime's name for a queue. */
function kindOf(name: unknown): string | undefined {
  if (typeof name !== 'string' || name.length > LONGEST_NAME) return undefined;
  return /^__(?:[a-z][a-z0-9]*_)?wkf_(workflow|step)_./.exec(name)?.[1];
}
