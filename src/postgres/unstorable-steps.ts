import type { AnyEventRequest, EventResult, Storage } from '@workflow/world';
import { UnstorableError } from './storable.ts';
import type { Of } from './write-steps.ts';

type Create<Params> = (runId: string | null, event: AnyEventRequest, params?: Params) => Promise<EventResult>;

/** What the runtime writes for arguments that it cannot serialize: should the step be executed, it only fails. */
const PLACEHOLDER = {
  args: ['[input unavailable: step argument serialization failed]'],
  closureVars: [],
  thisVal: undefined,
  __workflowUnserializableStepInput: true,
};

/**
 * A step whose arguments cannot be stored is created without them, and has failed: its workflow can catch that. As the
 * runtime does with arguments that it cannot serialize.
 */
export function orFailedStep<Params>(create: Create<Params>): Storage['events']['create'] {
  const creating: Create<Params> = async (runId, event, params) => {
    if (event.eventType !== 'step_created') return create(runId, event, params);
    return create(runId, event, params).catch((error: unknown) => {
      if (!(error instanceof UnstorableError)) throw error;
      return createFailed(runId, event, error.message);
    });
  };

  async function createFailed(runId: string | null, event: Of<'step_created'>, reason: string): Promise<EventResult> {
    const { specVersion, correlationId, eventData } = event;
    const { dehydrateStepArguments } = await import('@workflow/core/serialization');
    const input = (await dehydrateStepArguments(PLACEHOLDER, runId ?? '', undefined)) as Uint8Array;
    const created = await create(runId, { ...event, eventData: { ...eventData, input } });
    const { stepName } = eventData;
    const error = `The step "${stepName.split('//').at(-1)}" cannot be called: ${reason}`;
    await create(runId, { eventType: 'step_failed', specVersion, correlationId, eventData: { stepName, error } });
    return created;
  }

  return creating as Storage['events']['create'];
}
