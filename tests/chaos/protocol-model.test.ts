import { expect, test } from 'vitest';
import { explore } from '../../model/explore.ts';
import { RULES, type Rule } from '../../model/rules.ts';
import { SCENARIOS, SMALL } from '../../model/scenarios.ts';

const MAX_STATES = 200_000;

/** What goes wrong without each rule, and the name of the scenario in which it does. */
const GOES_WRONG: Record<Rule, [scenario: string, broken: string]> = {
  exclusive: ['hook or timer', 'two jobs of the same key are active'],
  'fenced-events': ['step, lapse', 'an event was written without a lease'],
  'fenced-jobs': ['step, lapse', 'a lease was ended by somebody who does not hold it'],
  'fenced-claims': ['step, lapse', 'a step was begun without a lease'],
  'fenced-steps': ['one step after another, lapse', 'a step was begun while the holder of a valid lease executes it'],
  'finished-steps': ['step, lapse', 'a step was begun after its result'],
  'first-result': ['step, lapse', 'a step was recorded twice'],
  'old-steps': ['two steps', 'a step was begun while the holder of a valid lease executes it'],
  'number-with-event': ['hook or timer', 'a run was parked over an event that its driver had not seen'],
  'number-before-log': ['two steps', 'a run was parked over an event that its driver had not seen'],
  'own-events': ['hook or timer', 'a run was parked over an event that its driver had not seen'],
  'nothing-between': ['two steps', 'a run was parked over an event that its driver had not seen'],
  'park-check': ['hook or timer', 'a run was parked over an event that its driver had not seen'],
  'wake-loop': ['hook or timer', 'nothing has died, and yet the run waits for the sweep, or its hook for a timer'],
  'wake-step': ['two steps', 'nothing has died, and yet the run waits for the sweep, or its hook for a timer'],
  'wake-when-lost': ['step, lapse', 'nothing has died, and yet the run waits for the sweep, or its hook for a timer'],
  'replace-in-one-transaction': ['failing step, stop', 'a step that was sent to its queue has no job and no result'],
  heartbeat: ['hook or timer', 'the run never comes to its end, though nothing more dies'],
  sweep: ['step, lost jobs', 'the run never comes to its end, though nothing more dies'],
  'sweep-steps': ['one worker, lost jobs', 'the run never comes to its end, though nothing more dies'],
};

test.each(SMALL)('the protocol keeps its promises in every state of: $name', (scenario) => {
  const { counterExample, states } = explore({ ...scenario, without: new Set() }, MAX_STATES);

  expect(counterExample).toBeUndefined();
  expect(states).toBeGreaterThan(500);
});

test.each(Object.entries(RULES))('the model sees what goes wrong without %s: %s', (name) => {
  const rule = name as Rule;
  const [scenarioName, broken] = GOES_WRONG[rule];
  const scenario = [...SMALL, ...SCENARIOS].find((it) => it.name === scenarioName)!;

  const { counterExample } = explore({ ...scenario, without: new Set([rule]) }, MAX_STATES);

  expect(counterExample?.broken).toBe(broken);
});
