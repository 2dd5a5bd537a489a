import type { Event, WorkflowRun } from '@workflow/world';

const ENDS = new Set(['run_completed', 'run_failed', 'run_cancelled']);
const UNOBSERVED = new Set(['step_started', 'step_retrying']);
const RESULTS = new Set(['step_completed', 'step_failed']);

/**
 * What a driver knows of its run, so that it need not read it again for every replay: what was there
 * when it took the lease, what it has written itself, and what it has fetched since.
 */
export interface RunLog {
  /** Undefined until the run has been started, or found to be, under this lease. */
  run: WorkflowRun | undefined;
  readonly events: readonly Event[];
  /** Up to this id (without `wevt_`) nothing is missing. */
  readonly lastId: string | undefined;
  /** The `wake_seq` that belongs to it, or an earlier one; undefined if something may be missing. */
  readonly wakeSeq: number | undefined;
  /** Whether the run has ended. */
  readonly ended: boolean;
  /** Whether there are steps without a result. */
  readonly unfinished: boolean;
  /**
   * Takes events that were written here, in one transaction. If others were written between what is known and
   * these, they are left for the next reading: the events of one run come one after the other, so what came
   * before these tells.
   * @param previous the run's last id before them
   * @param lastId the run's last id now
   */
  add(previous: string | null | undefined, events: readonly Event[], lastId: string): void;
  /**
   * Begins to read all that is behind `lastId`.
   * @returns takes it; `wakeSeq` and `upTo`, the run's last id, are those before the events were read
   */
  beginReading(): (events: readonly Event[], wakeSeq: number, upTo?: string | null) => void;
  /** Something may be missing: what is being read at the moment may not have it either. */
  doubt(): void;
  /** Forgets everything. */
  forget(): void;
}

export function createRunLog(): RunLog {
  let events: Event[] = [];
  let run: WorkflowRun | undefined;
  let lastId: string | undefined;
  let ended = false;
  let unfinished = 0;
  let wakeSeq: number | undefined;
  let doubts = 0;
  const doubt = () => {
    doubts += 1;
    wakeSeq = undefined;
  };
  const push = (more: readonly Event[]) => {
    for (const event of more) {
      const { eventType } = event;
      events.push(event);
      ended ||= ENDS.has(eventType);
      if (eventType === 'step_created') unfinished += 1;
      if (RESULTS.has(eventType)) unfinished -= 1;
    }
  };
  return {
    get run() {
      return run;
    },
    set run(known) {
      run = known;
    },
    get events() {
      return events;
    },
    get lastId() {
      return lastId;
    },
    get wakeSeq() {
      return wakeSeq;
    },
    get ended() {
      return ended;
    },
    get unfinished() {
      return unfinished > 0;
    },
    add(previous, written, last) {
      if ((previous ?? undefined) !== lastId) return doubt();
      push(written);
      lastId = last;
      if (wakeSeq !== undefined) wakeSeq += written.filter(isObserved).length;
    },
    beginReading() {
      const doubtsBefore = doubts;
      return (read, numberBefore, upTo) => {
        wakeSeq = doubts === doubtsBefore ? numberBefore : undefined;
        // Some may have been added while they were read.
        push(read.filter(({ eventId }) => idOf(eventId) > (lastId ?? '')));
        const last = idOf(read.at(-1)?.eventId ?? '');
        for (const id of [upTo ?? '', last]) if (id > (lastId ?? '')) lastId = id;
      };
    },
    doubt,
    forget() {
      doubt();
      events = [];
      run = undefined;
      lastId = undefined;
      ended = false;
      unfinished = 0;
    },
  };
}

/** Whether it is something to replay for. */
export function isObserved({ eventType }: Pick<Event, 'eventType'>): boolean {
  return !UNOBSERVED.has(eventType);
}

function idOf(eventId: string): string {
  return eventId.slice('wevt_'.length);
}
