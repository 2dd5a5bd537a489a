import type { Scenario } from './state.ts';

const NOTHING = {
  starting: false,
  steps: 0,
  sequence: false,
  failing: false,
  hook: false,
  timer: false,
  race: false,
  workers: 2,
  slots: 1,
  crashes: 0,
  lapses: 0,
  stops: 0,
  truncates: 0,
};

/** Small enough to be searched in seconds; nearly every rule has its counter-example in one of them. */
export const SMALL: readonly Scenario[] = [
  { ...NOTHING, name: 'hook or timer', hook: true, timer: true, race: true, crashes: 1 },
  { ...NOTHING, name: 'step, lapse', steps: 1, lapses: 1 },
  { ...NOTHING, name: 'failing step, stop', steps: 1, failing: true, stops: 1 },
  { ...NOTHING, name: 'two steps', steps: 2, crashes: 1 },
  { ...NOTHING, name: 'step, lost jobs', steps: 1, truncates: 1 },
  { ...NOTHING, name: 'one worker, lost jobs', workers: 1, steps: 1, failing: true, truncates: 1 },
];

export const SCENARIOS: readonly Scenario[] = [
  { ...NOTHING, name: 'start', starting: true, steps: 1, crashes: 1 },
  { ...NOTHING, name: 'hook or timer, crash and lapse', hook: true, timer: true, race: true, crashes: 1, lapses: 1 },
  { ...NOTHING, name: 'hook or timer, lost jobs', hook: true, timer: true, race: true, crashes: 1, truncates: 1 },
  { ...NOTHING, name: 'hook or timer, stop', hook: true, timer: true, race: true, crashes: 1, stops: 1 },
  { ...NOTHING, name: 'step, crash and lapse', steps: 1, crashes: 1, lapses: 1 },
  { ...NOTHING, name: 'failing step, lapse', steps: 1, failing: true, lapses: 1 },
  { ...NOTHING, name: 'failing step, stop', steps: 1, failing: true, stops: 1 },
  { ...NOTHING, name: 'two steps, crash', steps: 2, crashes: 1 },
  { ...NOTHING, name: 'one step after another, lapse', steps: 2, sequence: true, lapses: 1 },
  { ...NOTHING, name: 'step and hook, crash', steps: 1, hook: true, crashes: 1 },
  { ...NOTHING, name: 'step, lost jobs', steps: 1, truncates: 1 },
  { ...NOTHING, name: 'one worker, lost jobs', workers: 1, steps: 1, failing: true, truncates: 1 },
];
