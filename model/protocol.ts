import { isActive, isDue, lapse, leasesOf, RUN } from './database.ts';
import { driverActions, startDriver } from './driver.ts';
import { executorActions, startExecutor } from './executor.ts';
import { copyState, CREATED, DONE, type Model, type State, type Worker, usedSlots } from './state.ts';
import { wakeOnce, WAKE_LABELS } from './wake.ts';

/** `work` goes on by itself; `sweep` and `time` come late; a `fault` may never come. */
export type Kind = 'work' | 'sweep' | 'time' | 'fault';

export interface Move {
  kind: Kind;
  label: string;
  next: State;
}

/** Every action that is possible in a state, with the state after it. */
export function movesOf(state: State, model: Model): Move[] {
  const moves: Move[] = [];
  const move = (kind: Kind, label: string, change: (next: State) => void) => {
    const next = copyState(state);
    change(next);
    if (next.broken === '') checkQueuedSteps(next);
    moves.push({ kind, label, next });
  };

  for (const [index, worker] of state.workers.entries()) workerMoves(state, model, worker, index, move);
  outsideMoves(state, model, move);
  faultMoves(state, model, move);
  return moves;
}

/** The run has ended, and nothing of it is left in the queue. */
export function isEnd({ ended, jobs }: State): boolean {
  return ended && jobs.length === 0;
}

/** Whether a hook was received that ends the run: it must not wait for the timer. */
export function isHookWaiting({ log, ended }: State, { race }: Model): boolean {
  return race && log.hook === DONE && !ended;
}

type AddMove = (kind: Kind, label: string, change: (next: State) => void) => void;

function workerMoves(state: State, model: Model, worker: Worker, index: number, move: AddMove): void {
  const name = `worker ${'ABCDEFGH'[index]}`;
  const { driver, executor } = worker;
  const doing = (label: string, apply: (next: State, worker: Worker) => void) =>
    move('work', `${name} ${label}`, (next) => apply(next, next.workers[index]!));

  if (!driver && isDue(state, RUN)) doing('fetches the run', (next, it) => startDriver(next, model, it));
  if (!executor && usedSlots(worker) < model.slots) {
    const step = state.jobs.find(({ key, state: at }) => key !== RUN && at === 'due')?.key;
    if (step !== undefined) doing(`fetches step ${step}`, startExecutor);
  }
  for (const { label, apply } of driver ? driverActions(state, model, driver) : []) doing(label, apply);
  for (const { label, apply } of executor ? executorActions(state, model, executor) : []) doing(label, apply);

  if (!driver && !executor) return;
  if (state.crashes > 0)
    move('fault', `${name} DIES`, (next) => {
      next.crashes -= 1;
      next.workers[index] = { driver: undefined, executor: undefined };
    });
  if (state.stops > 0 && (driver?.aborted === '' || executor?.aborted === ''))
    move('fault', `${name} IS TOLD TO STOP`, (next) => {
      next.stops -= 1;
      const it = next.workers[index]!;
      if (it.driver) it.driver.aborted ||= 'stop';
      if (it.executor) it.executor.aborted ||= 'stop';
    });
}

function outsideMoves(state: State, model: Model, move: AddMove): void {
  const { starter, sender, sweeper, log } = state;
  if (starter) move('work', `the starter ${WAKE_LABELS[starter]}`, (it) => (it.starter = wakeOnce(it, model, starter)));
  if (sweeper) move('sweep', `the sweep ${WAKE_LABELS[sweeper]}`, (it) => (it.sweeper = wakeOnce(it, model, sweeper)));
  else if (isForgotten(state, model)) move('sweep', 'the sweep finds the run forgotten', (it) => (it.sweeper = 'send'));

  if (sender === 'idle' && log.hook === CREATED && !state.ended)
    move('work', 'the hook is received: hook_received', (it) => {
      it.log.hook = DONE;
      it.sender = 'send';
      if (model.without.has('number-with-event')) it.sender = 'bump';
      else it.wakeSeq += 1;
    });
  else if (sender === 'bump')
    move('work', 'the sender of the hook raises wake_seq', (it) => ((it.wakeSeq += 1), (it.sender = 'send')));
  else if (sender !== 'idle' && sender !== '')
    move('work', `the sender of the hook ${WAKE_LABELS[sender]}`, (it) => (it.sender = wakeOnce(it, model, sender)));

  if (log.timer === CREATED && !state.elapsed) move('time', 'the timer comes due', (it) => (it.elapsed = true));
}

/** The query of src/queue/sweep.ts. */
function isForgotten(state: State, { without }: Model): boolean {
  if (isActive(state, RUN) || isDue(state, RUN)) return false;
  if (!without.has('sweep') && (state.wakeSeq > state.seenSeq || (state.due && state.elapsed))) return true;
  const isLost = (status: number, step: number) => status !== DONE && !state.jobs.some(({ key }) => key === step + 1);
  return !without.has('sweep-steps') && state.awaitsSteps && state.log.steps.some(isLost);
}

function faultMoves(state: State, model: Model, move: AddMove): void {
  for (const [index, job] of state.jobs.entries()) {
    if (job.state !== 'active') continue;
    const name = job.key === RUN ? 'the run' : `step ${job.key}`;
    const isHeld = leasesOf(state).some((lease) => lease.current && lease.job === index);
    if (!isHeld && !model.without.has('heartbeat'))
      move('work', `the lease of ${name} lapses, its holder being dead`, (it) => lapse(it, index));
    if (isHeld && state.lapses > 0)
      move('fault', `THE LEASE OF ${name.toUpperCase()} LAPSES, its holder being alive`, (it) => {
        it.lapses -= 1;
        lapse(it, index);
      });
  }
  if (state.crashes > 0 && state.starter)
    move('fault', 'the starter DIES', (it) => ((it.crashes -= 1), (it.starter = '')));
  if (state.crashes > 0 && state.sender !== 'idle' && state.sender)
    move('fault', 'the sender of the hook DIES', (it) => ((it.crashes -= 1), (it.sender = '')));
  if (state.truncates > 0 && state.jobs.length > 0)
    move('fault', 'THE JOB TABLE IS TRUNCATED', (it) => {
      it.truncates -= 1;
      it.jobs = [];
      it.sent = it.sent.map(() => false);
      for (const lease of leasesOf(it)) Object.assign(lease, { job: -1, current: false });
    });
}

/** Invariant: a step that was sent to its queue has a job there until it has a result. */
function checkQueuedSteps(state: State): void {
  const isLost = (sent: boolean, step: number) =>
    sent && state.log.steps[step] !== DONE && !state.jobs.some(({ key }) => key === step + 1);
  if (!state.ended && state.sent.some(isLost))
    state.broken = 'a step that was sent to its queue has no job and no result';
}
