import { reasonOf } from '../postgres/reason.ts';
import { LeaseLostError, MustRunAloneError } from '../runtime/scope.ts';

/** Tells the operator of a delivery that failed and will be made again. */
export type Report = (subject: string, error: unknown) => void;

/** Tells the operator what is being worked on, if that is wanted. */
export type Trace = (line: string) => void;

export function createReport(log: (line: string) => void): Report {
  return (subject, error) => {
    // Somebody else goes on with it: nothing has failed.
    if (error instanceof LeaseLostError || error instanceof MustRunAloneError) return;
    log(`${subject} could not be finished and will be delivered again: ${reasonOf(error)}`);
  };
}
