import { WorkflowWorldError } from '@workflow/errors';
import { isTransient } from '../postgres/transient.ts';
import { UnstorableError } from '../postgres/storable.ts';
import { NotLoadedError } from '../runtime/handlers.ts';
import { GarbageError, LeaseLostError, MustRunAloneError } from '../runtime/scope.ts';

/** Or are somebody else's to settle: a job that is garbage becomes a dead letter. */
const KINDS_THAT_PASS = [LeaseLostError, MustRunAloneError, NotLoadedError, GarbageError];

/**
 * Whether what a delivery threw may be gone with the next one: the table is in docs/ERRORS.md. What is neither of the
 * database, the lease, the process nor its machine is of the code and its values, and every delivery meets it again.
 */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof UnstorableError) return false;
  if (KINDS_THAT_PASS.some((kind) => error instanceof kind) || isTransient(error)) return true;
  // Of the World, when its rows are not there: a crash of the server has taken what was not flushed.
  if (WorkflowWorldError.is(error)) return true;
  return isOfDatabase(error) || isOfMachine(error) || (error.cause !== undefined && mayPass(error.cause));
}

/** A missing right, a schema that was dropped: somebody mends it. (What refuses a value is an UnstorableError.) */
function isOfDatabase(error: Error): boolean {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && typeof severity === 'string';
}

/** No file handle, no memory for a process, a disk that is full. */
function isOfMachine(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string';
}
