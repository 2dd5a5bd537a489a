import { isFinished } from './database.ts';
import { ABSENT, CREATED, DONE, type Driver, type Log, type Model, type State } from './state.ts';

/** An event that a replay writes. */
interface NewEvent {
  type: string;
  change(log: Log): void;
  exists(log: Log): boolean;
}

/** What a replay over `saw` writes first. */
export function nextEvent(state: State, model: Model, saw: Log): NewEvent | undefined {
  const step = saw.steps.indexOf(ABSENT);
  if (step >= 0 && !(model.sequence && step > 0 && saw.steps[step - 1] !== DONE))
    return {
      type: `step_created of step ${step + 1}`,
      change: (log) => (log.steps[step] = CREATED),
      exists: (log) => log.steps[step] !== ABSENT,
    };
  if (model.hook && saw.hook === ABSENT)
    return { type: 'hook_created', change: (log) => (log.hook = CREATED), exists: (log) => log.hook !== ABSENT };
  if (model.timer && saw.timer === ABSENT)
    return { type: 'wait_created', change: (log) => (log.timer = CREATED), exists: (log) => log.timer !== ABSENT };
  if (saw.timer === CREATED && state.elapsed)
    return { type: 'wait_completed', change: (log) => (log.timer = DONE), exists: (log) => log.timer === DONE };
  if (isFinished(model, saw)) return { type: 'run_completed', change: () => undefined, exists: () => false };
  return undefined;
}

export function writeEvent(state: State, model: Model, driver: Driver, event: NewEvent): void {
  if (!mayWrite(model, driver)) return void (driver.at = 'drain');
  if (!driver.lease.current) state.broken = 'an event was written without a lease';
  if (state.ended || event.type === 'run_completed') driver.ended = true;
  if (state.ended) return;
  if (!event.exists(state.log)) {
    event.change(state.log);
    state.wakeSeq += 1;
    driver.seen = model.without.has('own-events') ? state.wakeSeq : driver.seen + 1;
    const created = /^step_created of step (\d+)/.exec(event.type);
    if (created) driver.created[Number(created[1]) - 1] = true;
  }
  event.change(driver.saw);
  if (event.type !== 'run_completed') return;
  state.ended = true;
  driver.completed = true;
  Object.assign(state, { seenSeq: state.wakeSeq, due: false, awaitsSteps: false });
}

export function mayWrite({ without }: Model, { lease }: Driver): boolean {
  return lease.current || without.has('fenced-events');
}

/** The steps that a replay over what the driver saw asks to execute. */
export function requested({ saw }: Driver): number[] {
  return [...saw.steps.keys()].filter((step) => saw.steps[step] === CREATED);
}
