import { isActive, makeDue, RUN, send } from './database.ts';
import type { Model, State, WakeAt } from './state.ts';

/** One transaction of `wake` in src/queue/jobs.ts. @returns the next one, '' when the wake is done */
export function wakeOnce(state: State, model: Model, at: WakeAt): WakeAt {
  switch (at) {
    case 'send':
      return send(state, model, RUN) || model.without.has('wake-loop') ? '' : 'update';
    case 'update':
      return makeDue(state, RUN) ? '' : 'look';
    case 'look':
      return isActive(state, RUN) ? '' : 'send';
    default:
      return '';
  }
}

export const WAKE_LABELS: Record<WakeAt, string> = {
  send: 'wakes the run: sends a job, unless there is one',
  update: 'wakes the run: makes its queued job due',
  look: 'wakes the run: looks whether its job is active',
  '': '',
};
