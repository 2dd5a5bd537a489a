import type { AnyEventRequest } from '@workflow/world';

/** PostgreSQL reads no others. */
const YEARS = [1, 9999] as const;

/** What is left of a text of an error that is longer. */
const MAX_TEXT_LENGTH = 1_000_000;

/** What is wrong with a value, and does not fit a limit: the same statement never succeeds. */
const PERMANENT_STATES = /^(22|54)/;

/** An event that no database would take, however often it is tried. */
export class UnstorableError extends Error {
  override name = 'UnstorableError';
}

/** Whether PostgreSQL refused the value. Looks through `cause`, where drizzle puts the original. */
export function refusesValue(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  // "invalid memory alloc request size": above 1 GB.
  const isTooLarge = code === 'XX000' && error.message.includes('alloc request size');
  return isTooLarge || (typeof code === 'string' && PERMANENT_STATES.test(code)) || refusesValue(error.cause);
}

/**
 * Refuses what could not be read again, or be told from a lost connection, and what would hold up a process.
 * @param maxValueBytes of each of its values, as it is stored
 * @throws UnstorableError
 */
export function assertStorable(event: AnyEventRequest, maxValueBytes: number): void {
  const data: Record<string, unknown> = ('eventData' in event && event.eventData) || {};
  for (const [name, value] of Object.entries(data)) {
    assertSize(`its ${name}`, value, maxValueBytes);
    if (value instanceof Date) {
      const year = value.getUTCFullYear();
      const isTime = year >= YEARS[0] && year <= YEARS[1];
      if (!isTime)
        throw new UnstorableError(
          `its ${name} cannot be stored: ${Number.isNaN(year) ? 'it is no time' : `it is in the year ${year}`}`,
        );
    }
  }
}

/** @throws UnstorableError for a serialized value that is larger */
export function assertSize(what: string, value: unknown, maxValueBytes: number): void {
  if (!(value instanceof Uint8Array) || value.byteLength <= maxValueBytes) return;
  const [is, limit] = [value.byteLength, maxValueBytes].map((bytes) => (bytes / 1e6).toFixed(1).replace('.0', ''));
  const setting = 'WORKFLOW_POSTGRES_MAX_VALUE_MB';
  throw new UnstorableError(`${what} cannot be stored: it has ${is} MB, and at most ${limit} MB can be (${setting})`);
}

/** The texts of a failure as they can be stored: that it failed is to be recorded, whatever it says. */
export function withStorableTexts(event: AnyEventRequest): AnyEventRequest {
  if (!('eventData' in event) || !event.eventData || !('error' in event.eventData)) return event;
  const { error, ...rest } = event.eventData as { error: unknown; stack?: unknown };
  const texts = typeof error === 'object' && error !== null ? withTexts(error, ['message', 'stack']) : textOf(error);
  return { ...event, eventData: { ...withTexts(rest, ['stack']), error: texts } } as AnyEventRequest;
}

function withTexts(data: object, keys: readonly string[]): object {
  const texts = keys.filter((key) => key in data).map((key) => [key, textOf((data as Record<string, unknown>)[key])]);
  return { ...data, ...Object.fromEntries(texts) };
}

function textOf(text: unknown): string {
  // What was thrown need not have one.
  const known =
    typeof text === 'string' ? text : 'something without a text was thrown: undefined, a symbol or a function';
  return known.slice(0, MAX_TEXT_LENGTH).replaceAll('\0', '\uFFFD').toWellFormed();
}
