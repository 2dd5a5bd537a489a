import { FatalError, RunExpiredError, WorkflowWorldError } from '@workflow/errors';
import { describeUnstorable, findUnstorable, throwError } from './unstorable.ts';

type StepFunction = (...args: unknown[]) => unknown;

/** Where the bundle of the steps registers them (`@workflow/core/private`). */
const REGISTERED = Symbol.for('@workflow/core//registeredSteps');
const guarded = new WeakSet<StepFunction>();

/** Makes every registered step fail at once, in its own execution, where its result cannot be stored. */
export function guardSteps(): void {
  const { [REGISTERED]: steps } = globalThis as { [REGISTERED]?: Map<string, StepFunction> };
  for (const [stepId, step] of steps ?? []) if (!guarded.has(step)) steps!.set(stepId, guard(stepId, step));
}

/** A proxy, since the runtime reads `maxRetries` from the function, whenever that is set. */
function guard(stepId: string, step: StepFunction): StepFunction {
  const guarding = new Proxy(step, { apply: execute });
  guarded.add(guarding);
  return guarding;

  async function execute(target: StepFunction, self: unknown, args: unknown[]): Promise<unknown> {
    const result = await new Promise((resolve) => resolve(Reflect.apply(target, self, args))).catch(asOwnError);
    const found = findUnstorable(result, 'result');
    if (!found) return result;
    const name = stepId.split('//').at(-1);
    throw new FatalError(`The step "${name}" was executed, but cannot be completed: ${describeUnstorable(found)}`);
  }
}

/**
 * The runtime takes these for news of the step's own run, and would execute it again and again. Out of a step's
 * function they tell of another one's, which it has called.
 */
function asOwnError(error: unknown): never {
  if (RunExpiredError.is(error)) throw new FatalError(error.message);
  if (WorkflowWorldError.is(error)) throw new Error(error.message, { cause: error });
  throwError(error);
}
