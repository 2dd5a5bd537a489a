import { stepInScope } from '../runtime/scope.ts';
import { DATABASE_PATIENCE_MS, isTransient, retryTransient } from './transient.ts';

/** As long as its lease would wait: after that, another worker may have a database. */
const STEP_PATIENCE_MS = 30_000;

/**
 * Asks what a step, or anybody else, wants to know or to have written, until the database answers. A step
 * whose patience ends is interrupted: what it then fails with is the database's fault, and no attempt.
 */
export function patiently<T>(ask: (again: boolean) => Promise<T>): Promise<T> {
  const step = stepInScope();
  if (!step || step.hasEnded) return retryTransient(ask, DATABASE_PATIENCE_MS);
  return interrupting(() => retryTransient(ask, STEP_PATIENCE_MS, step.signal));
}

/** Interrupts the step that is being executed, if it fails because of the database. */
export async function interrupting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const step = stepInScope();
    if (step && !step.hasEnded && isTransient(error)) step.interrupt(error);
    throw error;
  }
}
