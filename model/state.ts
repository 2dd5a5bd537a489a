import type { Rule } from './rules.ts';

/** What is explored: the shape of the workflow, who works, and how much may go wrong. */
export interface Scenario {
  name: string;
  /** Whether the first message is still to be sent. */
  starting: boolean;
  steps: number;
  /** Whether each step needs the result of the one before it; else they begin in parallel. */
  sequence: boolean;
  /** Whether the first execution of step 1 fails, and is retried. */
  failing: boolean;
  hook: boolean;
  timer: boolean;
  /** The run ends with the hook or the timer, whichever is first; else it needs both. */
  race: boolean;
  workers: number;
  /** Steps at once, per worker. */
  slots: number;
  crashes: number;
  /** Leases that lapse though their holder lives: a hung process, a lost connection. */
  lapses: number;
  /** Workers that are told to stop. */
  stops: number;
  /** TRUNCATE of the job table. */
  truncates: number;
}

export interface Model extends Scenario {
  without: ReadonlySet<Rule>;
}

export const ABSENT = 0;
/** Of a step: pending. Of a hook or timer: created. */
export const CREATED = 1;
export const RUNNING = 2;
/** Of a step: it has a result. Of a hook: received. Of a timer: wait_completed. */
export const DONE = 3;

/** What is in the log, for each thing that the workflow waits for. */
export interface Log {
  steps: number[];
  hook: number;
  timer: number;
}

/** Key 0 is the run, key n its step n. A job in retry counts as due: it becomes so by itself. */
interface Job {
  key: number;
  state: 'due' | 'delayed' | 'active';
}

/**
 * A job that was fetched. `job`: its index, -1 when it is gone. `current`: it is active under the
 * retry count of this fetch; if not, but the job is there, somebody else may hold it.
 */
export interface Lease {
  job: number;
  current: boolean;
}

/** The next transaction of a wake; '' is none. */
export type WakeAt = '' | 'send' | 'update' | 'look';

type Aborted = '' | 'lost' | 'stop';

/** `claim`: about to write step_started. `requeue`: about to send the step to its queue. */
type Execution = '' | 'claim' | 'run' | 'requeue';

/** `at` names its next transaction; `fresh`: it knows the whole log, `drain`: it waits for its last executions. */
export interface Driver {
  at:
    | 'read'
    | 'open'
    | 'load'
    | 'write'
    | 'clear'
    | 'finish'
    | 'dispatch'
    | 'wait'
    | 'fresh'
    | 'park'
    | 'replace'
    | 'resend'
    | 'drain'
    | 'wake';
  lease: Lease;
  aborted: Aborted;
  /** wake_seq as read, or of an own result before which nothing was new, and one for each own event. */
  seen: number;
  saw: Log;
  ended: boolean;
  /** Has written run_completed. */
  completed: boolean;
  /** Steps created under this lease. */
  created: boolean[];
  queued: boolean[];
  executing: Execution[];
  /** A step has ended here since the last replay. */
  news: boolean;
  wake: WakeAt;
}

/** Executes a step under the lease of the step's own job. */
export interface Executor {
  at: 'claim' | 'run' | 'wake' | 'complete' | 'replace' | 'resend';
  step: number;
  lease: Lease;
  aborted: Aborted;
  wake: WakeAt;
}

export interface Worker {
  driver: Driver | undefined;
  executor: Executor | undefined;
}

export interface State {
  log: Log;
  ended: boolean;
  /** Whether step 1 has failed once. */
  failed: boolean;
  /** Steps that were sent to the queue and not lost with its table. */
  sent: boolean[];
  wakeSeq: number;
  seenSeq: number;
  /** Of run_progress: the run was parked with a timer; with unfinished steps. */
  due: boolean;
  awaitsSteps: boolean;
  jobs: Job[];
  /** The time of the timer has come. */
  elapsed: boolean;
  starter: WakeAt;
  /** Who sends the hook. `bump`: only without the rule number-with-event. */
  sender: WakeAt | 'idle' | 'bump';
  sweeper: WakeAt;
  workers: Worker[];
  crashes: number;
  lapses: number;
  stops: number;
  truncates: number;
  /** The invariant that the last action broke. */
  broken: string;
}

/** The event run_created is written, its first message not yet sent. */
export function initialState(model: Model): State {
  const { steps, workers, crashes, lapses, stops, truncates } = model;
  return {
    log: { steps: Array<number>(steps).fill(ABSENT), hook: ABSENT, timer: ABSENT },
    ended: false,
    failed: false,
    sent: Array<boolean>(steps).fill(false),
    wakeSeq: 1,
    seenSeq: 0,
    due: false,
    awaitsSteps: false,
    jobs: model.starting ? [] : [{ key: 0, state: 'due' }],
    elapsed: false,
    starter: model.starting ? 'send' : '',
    sender: 'idle',
    sweeper: '',
    workers: Array.from({ length: workers }, () => ({ driver: undefined, executor: undefined })),
    crashes,
    lapses,
    stops,
    truncates,
    broken: '',
  };
}

function copyLog({ steps, hook, timer }: Log): Log {
  return { steps: [...steps], hook, timer };
}

export function copyState(state: State): State {
  return {
    ...state,
    log: copyLog(state.log),
    sent: [...state.sent],
    jobs: state.jobs.map((job) => ({ ...job })),
    workers: state.workers.map(({ driver, executor }) => ({
      driver: driver && {
        ...driver,
        lease: { ...driver.lease },
        saw: copyLog(driver.saw),
        created: [...driver.created],
        queued: [...driver.queued],
        executing: [...driver.executing],
      },
      executor: executor && { ...executor, lease: { ...executor.lease } },
    })),
  };
}

/** Of a worker, by steps under the run's lease and under their own. */
export function usedSlots({ driver, executor }: Worker): number {
  return (driver?.executing.filter((it) => it !== '').length ?? 0) + (executor ? 1 : 0);
}
