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

/**
 * Why something failed, in a text that the queue can keep: the innermost cause, because the message
 * that drizzle puts around it quotes the values of the statement, and jsonb takes no NUL.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message.replaceAll('\0', '');
}
