import { incrementBase32 } from 'ulid';

const EVENT_PREFIX = 'wevt_';
const EVENT_ID = /^wevt_[0-9A-HJKMNP-TV-Z]{26}$/;

export interface EventOrder {
  /** Replaces a new event's id by one that sorts after everything before it; the same id by the same one. */
  renumber(value: unknown): unknown;
  /** The id that was given last, without its prefix. */
  readonly last: string | undefined;
}

/**
 * Ids for the events of one transaction, which has locked the run. world-postgres makes them from
 * the clock of the process, and replays read the log in their order: two workers whose clocks
 * disagree would write a log that no replay can follow (vercel/workflow #2331, #2714).
 * @param lastEventId the run's last id so far, without its prefix
 */
export function createEventOrder(lastEventId: string | undefined): EventOrder {
  const given = new Map<string, string>();
  let last = lastEventId;
  return {
    renumber(value) {
      if (typeof value !== 'string' || !EVENT_ID.test(value)) return value;
      const known = given.get(value);
      if (known) return known;
      const proposed = value.slice(EVENT_PREFIX.length);
      last = last === undefined || proposed > last ? proposed : incrementBase32(last);
      const id = EVENT_PREFIX + last;
      given.set(value, id);
      // An id that was given is final, should it come by once more.
      given.set(id, id);
      return id;
    },
    get last() {
      return given.size > 0 ? last : undefined;
    },
  };
}
