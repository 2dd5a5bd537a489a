import { complete, fetchJob, RUN, send } from './database.ts';
import type { Action } from './driver.ts';
import { claim, recordFailure, recordResult, willFail } from './steps.ts';
import type { Executor, Model, State, Worker } from './state.ts';
import { wakeOnce, WAKE_LABELS } from './wake.ts';

export function startExecutor(state: State, worker: Worker): void {
  const lease = fetchJob(state, (key) => key !== RUN);
  if (!lease) return;
  worker.executor = { at: 'claim', step: state.jobs[lease.job]!.key - 1, lease, aborted: '', wake: '' };
}

/** What the holder of a step job can do next: src/queue/handle-step-job.ts, a transaction at a time. */
export function executorActions(state: State, model: Model, executor: Executor): Action[] {
  const actions: Action[] = [];
  const act = (label: string, apply: (state: State, executor: Executor, worker: Worker) => void) =>
    actions.push({ label, apply: (next, worker) => apply(next, worker.executor!, worker) });
  const end = (worker: Worker) => (worker.executor = undefined);
  const { step, aborted, lease } = executor;
  const name = `step ${step + 1}`;

  if (!lease.current && aborted === '')
    act(`refreshes the lease of ${name}, and learns that it is gone`, (_, it) => (it.aborted = 'lost'));
  if ((executor.at === 'claim' || executor.at === 'run') && aborted) {
    if (aborted === 'stop' && lease.current)
      act(`hands ${name} back: its job is replaced`, (s, it) => {
        complete(s, model, it.lease);
        if (model.without.has('replace-in-one-transaction')) it.at = 'resend';
        else send(s, model, step + 1);
      });
    else act(`aborts ${name}`, (_s, _it, worker) => end(worker));
  }
  if (executor.at === 'run' && !aborted && state.ended)
    act(`learns that the run of ${name} has ended`, (_, it) => (it.at = 'complete'));

  switch (executor.at) {
    case 'claim':
      if (aborted) break;
      act(`writes step_started of ${name}`, (s, it, worker) => {
        const claimed = claim(s, model, step, it.lease);
        if (claimed === 'begun') it.at = 'run';
        else if (claimed === 'lost') end(worker);
        else if (claimed === 'ended') it.at = 'complete';
        // The runtime has the run looked at in this case.
        else Object.assign(it, { at: 'wake', wake: 'send' });
      });
      break;
    case 'run':
      if (willFail(state, model, step))
        act(`writes step_retrying of ${name}`, (s, it, worker) =>
          !aborted && recordFailure(s, model, step, it.lease) ? (it.at = 'replace') : end(worker),
        );
      else
        act(`writes the result of ${name}`, (s, it) => {
          const wakes = recordResult(s, model, step) && !model.without.has('wake-step');
          Object.assign(it, wakes ? { at: 'wake', wake: 'send' } : { at: 'complete' });
        });
      break;
    case 'wake':
      act(WAKE_LABELS[executor.wake], (s, it) => {
        it.wake = wakeOnce(s, model, it.wake);
        if (it.wake === '') it.at = 'complete';
      });
      break;
    case 'complete':
      act(`completes the job of ${name}`, (s, it, worker) => (complete(s, model, it.lease), end(worker)));
      break;
    case 'replace':
      act(`replaces the job of ${name} by its retry`, (s, it, worker) => {
        const ours = complete(s, model, it.lease);
        if (ours && model.without.has('replace-in-one-transaction')) it.at = 'resend';
        else {
          if (ours) send(s, model, step + 1);
          end(worker);
        }
      });
      break;
    case 'resend':
      act(`sends the new job of ${name}`, (s, _it, worker) => (send(s, model, step + 1), end(worker)));
      break;
  }
  return actions;
}
