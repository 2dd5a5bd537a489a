import { decodeTime, ulid } from 'ulid';

const EVENT_PREFIX = 'wevt_';
const EVENT_ID = /^wevt_[0-9A-HJKMNP-TV-Z]{26}$/;

export interface EventOrder {
  /** Replaces a new event's id by one that sorts after everything before it; the same id by the same one. */
  renumber(value: unknown): unknown;
  /** The ids that were given, without their prefix. */
  readonly ids: readonly string[];
  /** The last of them. */
  readonly last: string | undefined;
}

/**
 * Ids for the events of one transaction, which has locked the run. world-postgres makes them from
 * the clock of the process, and replays read the log in their order: two workers whose clocks
 * disagree would write a log that no replay can follow (vercel/workflow #2331, #2714). A millisecond
 * later rather than one more: that one may be another run's, ids being given one after the other
 * within a millisecond, and an id belongs to one event of all runs.
 * @param lastEventId the run's last id so far, without its prefix
 */
export function createEventOrder(lastEventId: string | undefined): EventOrder {
  const given = new Map<string, string>();
  const ids: string[] = [];
  let last = lastEventId;
  return {
    renumber(value) {
      if (typeof value !== 'string' || !EVENT_ID.test(value)) return value;
      const known = given.get(value);
      if (known) return known;
      const proposed = value.slice(EVENT_PREFIX.length);
      last = last === undefined || proposed > last ? proposed : ulid(decodeTime(last) + 1);
      ids.push(last);
      const id = EVENT_PREFIX + last;
      given.set(value, id);
      // An id that was given is final, should it come by once more.
      given.set(id, id);
      return id;
    },
    ids,
    get last() {
      return ids.at(-1);
    },
  };
}
