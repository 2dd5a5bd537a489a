import { ABSENT, CREATED, DONE, type Lease, type Log, type Model, type State } from './state.ts';

export const RUN = 0;

/** `send` under policy `exclusive`: false when the key has a job. */
export function send(state: State, model: Model, key: number, kind: 'due' | 'delayed' = 'due'): boolean {
  // The job of a step that has a result finds it, and goes.
  if (key !== RUN && state.log.steps[key - 1] !== DONE) state.sent[key - 1] = true;
  if (!model.without.has('exclusive') && state.jobs.some((job) => job.key === key)) return false;
  state.jobs.push({ key, state: kind });
  return true;
}

/** `update(key, startAfter: 0)`: false when no job of the key is queued. */
export function makeDue(state: State, key: number): boolean {
  const queued = state.jobs.filter((job) => job.key === key && job.state !== 'active');
  for (const job of queued) job.state = 'due';
  return queued.length > 0;
}

export function isActive(state: State, key: number): boolean {
  return state.jobs.some((job) => job.key === key && job.state === 'active');
}

export function isDue(state: State, key: number): boolean {
  return state.jobs.some(
    (job) => job.key === key && (job.state === 'due' || (job.state === 'delayed' && state.elapsed)),
  );
}

/** The lease of a job that is due, or undefined if there is none. */
export function fetchJob(state: State, isWanted: (key: number) => boolean): Lease | undefined {
  const index = state.jobs.findIndex(
    ({ key, state: at }) => isWanted(key) && (at === 'due' || (at === 'delayed' && state.elapsed)),
  );
  const job = state.jobs[index];
  if (!job) return undefined;
  if (isActive(state, job.key)) state.broken = 'two jobs of the same key are active';
  job.state = 'active';
  return { job: index, current: true };
}

/** `complete`: false when the job is not ours any more. */
export function complete(state: State, model: Model, lease: Lease): boolean {
  if (!lease.current) {
    const other = state.jobs[lease.job];
    if (!model.without.has('fenced-jobs') || other?.state !== 'active') return false;
    state.broken = 'a lease was ended by somebody who does not hold it';
  }
  removeJob(state, lease.job);
  return true;
}

export function removeJob(state: State, index: number): void {
  const [removed] = state.jobs.splice(index, 1);
  for (const lease of leasesOf(state)) {
    if (lease.job === index) Object.assign(lease, { job: -1, current: false });
    else if (lease.job > index) lease.job -= 1;
  }
  const step = (removed?.key ?? RUN) - 1;
  if (state.log.steps[step] === DONE || state.ended) state.sent[step] = false;
}

/** The job can be fetched again; who held it does not any more, and may not know. */
export function lapse(state: State, index: number): void {
  state.jobs[index]!.state = 'due';
  for (const lease of leasesOf(state)) if (lease.job === index) lease.current = false;
}

export function leasesOf(state: State): Lease[] {
  return state.workers.flatMap(({ driver, executor }) => [driver?.lease, executor?.lease].filter((it) => !!it));
}

/** What a replay can observe of the log: not whether a step is being executed. */
export function observe(log: Log): Log {
  return { ...log, steps: log.steps.map((step) => (step === DONE || step === ABSENT ? step : CREATED)) };
}

export function sameLog(one: Log, other: Log): boolean {
  return one.hook === other.hook && one.timer === other.timer && one.steps.every((it, n) => it === other.steps[n]);
}

/** Whether the workflow returns when it is replayed over this log. */
export function isFinished({ hook, timer, race }: Model, log: Log): boolean {
  if (log.steps.some((step) => step !== DONE)) return false;
  if (race) return log.hook === DONE || log.timer === DONE;
  return (!hook || log.hook === DONE) && (!timer || log.timer === DONE);
}
