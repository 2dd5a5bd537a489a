import { complete, fetchJob, observe, removeJob, RUN, sameLog, send } from './database.ts';
import { executionActions, sendStep } from './execution.ts';
import { mayWrite, nextEvent, requested, writeEvent } from './replay.ts';
import { ABSENT, CREATED, DONE, type Driver, type Model, type State, type Worker, usedSlots } from './state.ts';
import { wakeOnce, WAKE_LABELS } from './wake.ts';

/** One atomic action of somebody: its name, and what it does to a state. */
export interface Action {
  label: string;
  apply(state: State, worker: Worker): void;
}

/** Fetching the run's job; src/queue/fetch-loop.ts. */
export function startDriver(state: State, model: Model, worker: Worker): void {
  const lease = fetchJob(state, (key) => key === RUN);
  if (!lease) return;
  const none = () => Array<boolean>(model.steps).fill(false);
  worker.driver = {
    at: 'open',
    lease,
    aborted: '',
    seen: 0,
    saw: { steps: Array<number>(model.steps).fill(ABSENT), hook: ABSENT, timer: ABSENT },
    ended: false,
    completed: false,
    created: none(),
    queued: none(),
    executing: Array<''>(model.steps).fill(''),
    news: false,
    wake: '',
  };
}

/** What a driver can do next: src/queue/drive-run.ts, a transaction at a time. */
export function driverActions(state: State, model: Model, driver: Driver): Action[] {
  const actions: Action[] = [];
  const act = (label: string, apply: (state: State, driver: Driver, worker: Worker) => void) =>
    actions.push({
      label,
      apply: (next, worker) => {
        apply(next, worker.driver!, worker);
        if (worker.driver) goOn(next, model, worker);
      },
    });

  if (!driver.lease.current && driver.aborted === '')
    act('refreshes its lease, and learns that it is gone', (_, it) => (it.aborted = 'lost'));

  switch (driver.at) {
    case 'open':
      // run_started, and the log with the number that belongs to it.
      act('opens the run', (s, it) => {
        if (!mayWrite(model, it)) it.at = 'drain';
        else Object.assign(it, { seen: s.wakeSeq, saw: observe(s.log), ended: s.ended, at: 'write' });
      });
      break;
    case 'read':
    case 'load': {
      const readsNumber = (driver.at === 'read') !== model.without.has('number-before-log');
      const next = driver.at === 'load' ? 'write' : 'load';
      if (readsNumber) act('reads wake_seq', (s, it) => Object.assign(it, { seen: s.wakeSeq, at: next }));
      else act('loads the log', (s, it) => Object.assign(it, { saw: observe(s.log), ended: s.ended, at: next }));
      break;
    }
    case 'fresh':
      act('replays over what it knows', (_, it) => (it.at = 'write'));
      break;
    case 'write': {
      const event = nextEvent(state, model, driver.saw);
      if (event) act(`writes ${event.type}`, (s, it) => writeEvent(s, model, it, event));
      break;
    }
    case 'clear':
      act('takes the queued jobs of unfinished steps away', (s, it) => {
        for (let n = s.jobs.length - 1; n >= 0; n -= 1) {
          const { key, state: at } = s.jobs[n]!;
          if (key !== RUN && at !== 'active' && s.log.steps[key - 1] !== DONE) removeJob(s, n);
        }
        it.at = it.completed ? 'finish' : 'park';
      });
      break;
    case 'finish':
      // Nothing in the log of a run that it has completed is left to be seen: no check, as for a park.
      act('completes the job', (s, it, worker) => {
        complete(s, model, it.lease);
        worker.driver = undefined;
      });
      break;
    case 'dispatch': {
      const step = requested(driver).find((it) => driver.executing[it] === '' && !driver.queued[it])!;
      act(`sends step ${step + 1} to the step queue`, (s, it) => {
        if (!sendStep(s, model, it, step)) it.at = 'drain';
      });
      break;
    }
    case 'park':
      act('parks the run', (s, it, worker) => park(s, model, it, worker));
      break;
    case 'wait':
      if (state.wakeSeq !== driver.seen || driver.aborted || (state.elapsed && driver.saw.timer === CREATED))
        act('looks again', (_, it) => (it.at = 'read'));
      break;
    case 'replace':
      act('hands the run back: its job is replaced', (s, it) => {
        const ours = complete(s, model, it.lease);
        it.at = 'drain';
        if (!ours) return;
        if (model.without.has('replace-in-one-transaction')) it.at = 'resend';
        else send(s, model, RUN);
      });
      break;
    case 'resend':
      act('sends the new job', (s, it) => (send(s, model, RUN), (it.at = 'drain')));
      break;
    case 'drain':
      // Also when the fence told, before the next refresh did.
      if (driver.executing.every((it) => it === ''))
        act('has ended its last step', (_, it, worker) => {
          if (it.aborted !== 'stop' && !model.without.has('wake-when-lost'))
            Object.assign(it, { at: 'wake', wake: 'send' });
          else worker.driver = undefined;
        });
      break;
    case 'wake':
      act(WAKE_LABELS[driver.wake], (s, it, worker) => {
        it.wake = wakeOnce(s, model, it.wake);
        if (it.wake === '') worker.driver = undefined;
      });
      break;
  }

  for (const step of driver.executing.keys()) executionActions(state, model, driver, step, act);
  return actions;
}

function park(state: State, model: Model, driver: Driver, worker: Worker): void {
  driver.at = 'read';
  if (state.wakeSeq !== driver.seen && !model.without.has('park-check')) return;
  if (!complete(state, model, driver.lease)) return;
  if (!driver.ended && !sameLog(observe(state.log), driver.saw))
    state.broken = 'a run was parked over an event that its driver had not seen';
  state.seenSeq = driver.seen;
  state.due = !driver.ended && driver.saw.timer === CREATED;
  state.awaitsSteps = !driver.ended && requested(driver).length > 0;
  if (state.due) send(state, model, RUN, 'delayed');
  worker.driver = undefined;
}

/** What a driver does by itself between two transactions. */
function goOn(state: State, model: Model, worker: Worker): void {
  const driver = worker.driver!;
  if (driver.at === 'write' && driver.ended) {
    driver.at = driver.aborted ? 'read' : 'clear';
  }
  if (driver.at === 'write' && !nextEvent(state, model, driver.saw)) driver.at = driver.aborted ? 'read' : 'dispatch';
  if (driver.at === 'dispatch') dispatch(model, worker, driver);
  if ((driver.at === 'wait' || driver.at === 'fresh') && driver.news) driver.at = 'read';
  if (driver.at === 'read') {
    driver.news = false;
    if (driver.aborted) driver.at = driver.aborted === 'stop' ? 'replace' : 'drain';
  }
}

function dispatch(model: Model, worker: Worker, driver: Driver): void {
  for (const step of requested(driver)) {
    if (driver.executing[step] !== '' || driver.queued[step]) continue;
    const here = driver.created[step] || model.without.has('old-steps');
    if (!here || usedSlots(worker) >= model.slots) return;
    driver.executing[step] = 'claim';
  }
  driver.at = driver.executing.every((it) => it === '') ? 'park' : 'wait';
}
