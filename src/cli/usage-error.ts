/** The call makes no sense; exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}
