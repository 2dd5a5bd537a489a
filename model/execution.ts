import { send } from './database.ts';
import { DONE, type Driver, type Model, type State } from './state.ts';
import { claim, recordFailure, recordResult, willFail } from './steps.ts';

/** A step in the driver's own process, under the run's lease. */
export function executionActions(
  state: State,
  model: Model,
  driver: Driver,
  step: number,
  act: (label: string, apply: (state: State, driver: Driver) => void) => void,
): void {
  const name = `step ${step + 1}`;
  const end = (it: Driver) => {
    it.executing[step] = '';
    it.news = true;
  };
  /** LeaseLostError: if the lease's signal has not fired yet, the step goes to its queue. */
  const lost = (it: Driver) => (it.aborted ? end(it) : (it.executing[step] = 'requeue'));
  const at = driver.executing[step];

  if (at !== '' && at !== 'requeue' && driver.aborted) act(`aborts ${name}`, (_, it) => end(it));
  if (at === 'claim' && !driver.aborted)
    act(`writes step_started of ${name}`, (s, it) => {
      const claimed = claim(s, model, step, it.lease);
      if (claimed === 'begun') it.executing[step] = 'run';
      else if (claimed === 'lost') lost(it);
      else end(it);
    });
  if (at === 'run' && willFail(state, model, step))
    act(`writes step_retrying of ${name}`, (s, it) =>
      !it.aborted && recordFailure(s, model, step, it.lease) ? (it.executing[step] = 'requeue') : lost(it),
    );
  else if (at === 'run') {
    act(`writes the result of ${name}`, (s, it) => (recordResult(s, model, step), end(it)));
    const rests = driver.at === 'wait' || driver.at === 'fresh';
    const sawAll = state.wakeSeq === driver.seen || model.without.has('nothing-between');
    if (rests && sawAll && !driver.news && !driver.aborted)
      act(`writes the result of ${name}, and knows that the log has nothing else that is new`, (s, it) => {
        if (!recordResult(s, model, step)) return end(it);
        it.executing[step] = '';
        it.saw.steps[step] = DONE;
        Object.assign(it, { at: 'fresh', seen: s.wakeSeq });
      });
  }
  if (at === 'requeue') act(`sends ${name} to the step queue`, (s, it) => (sendStep(s, model, it, step), end(it)));
}

/** @returns false when the lease is gone: the next driver sends it */
export function sendStep(state: State, model: Model, driver: Driver, step: number): boolean {
  if (!driver.lease.current && !model.without.has('fenced-steps')) return false;
  driver.queued[step] = true;
  send(state, model, step + 1);
  return true;
}
