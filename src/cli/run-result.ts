import type { WorkflowRun } from '@workflow/world';

/**
 * What a workflow returned, as JSON can have it. Undefined: nothing, or something that only its own code
 * can read, as instances of its classes.
 */
export async function readResult({ runId, output }: WorkflowRun): Promise<unknown> {
  if (output === undefined) return undefined;
  // Not the runtime's `hydrateData`, which knows neither dates nor errors. Imported late, as the rest of it.
  const { hydrateWorkflowReturnValue } = await import('@workflow/core/serialization');
  try {
    const value: unknown = await hydrateWorkflowReturnValue(output, runId, undefined);
    return JSON.parse(JSON.stringify(value, asJson));
  } catch {
    return undefined;
  }
}

function asJson(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  return value instanceof Map || value instanceof Set ? [...value] : value;
}
