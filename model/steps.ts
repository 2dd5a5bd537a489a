import { ABSENT, CREATED, DONE, RUNNING, type Lease, type Model, type State } from './state.ts';

export type Claim = 'begun' | 'lost' | 'finished' | 'ended';

/** The transaction of `step_started`. */
export function claim(state: State, model: Model, step: number, lease: Lease): Claim {
  if (!lease.current && !model.without.has('fenced-claims')) return 'lost';
  if (state.ended) return 'ended';
  if (state.log.steps[step] === DONE && !model.without.has('finished-steps')) return 'finished';
  if (!lease.current) state.broken = 'a step was begun without a lease';
  if (state.log.steps[step] === DONE) state.broken = 'a step was begun after its result';
  if (isExecutedUnderLease(state, step))
    state.broken = 'a step was begun while the holder of a valid lease executes it';
  state.log.steps[step] = RUNNING;
  return 'begun';
}

/** The transaction of `step_completed`, which asks for no lease. @returns whether it was recorded */
export function recordResult(state: State, model: Model, step: number): boolean {
  if (state.log.steps[step] === DONE || state.log.steps[step] === ABSENT) {
    if (model.without.has('first-result')) state.broken = 'a step was recorded twice';
    return false;
  }
  // world-postgres takes no result for a run that has ended.
  if (state.ended) return false;
  state.log.steps[step] = DONE;
  state.wakeSeq += 1;
  return true;
}

export function willFail(state: State, model: Model, step: number): boolean {
  return model.failing && step === 0 && !state.failed;
}

/** The transaction of `step_retrying`. @returns false when the lease is gone */
export function recordFailure(state: State, model: Model, step: number, lease: Lease): boolean {
  if (!lease.current) {
    if (!model.without.has('fenced-events')) return false;
    state.broken = 'an event was written without a lease';
  }
  if (state.log.steps[step] === DONE) return true;
  state.failed = true;
  state.log.steps[step] = CREATED;
  return true;
}

function isExecutedUnderLease({ workers }: State, step: number): boolean {
  return workers.some(
    ({ driver, executor }) =>
      (driver?.lease.current && driver.executing[step] === 'run') ||
      (executor?.lease.current && executor.step === step && executor.at === 'run'),
  );
}
