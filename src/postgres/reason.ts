/**
 * Why something failed, in a text that the queue can keep: the innermost cause, because the message
 * that drizzle puts around it quotes the values of the statement, and jsonb takes no NUL.
 */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message.replaceAll('\0', '');
}
