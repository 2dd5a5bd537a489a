import { expect, test } from 'vitest';
import { explore } from '../../model/explore.ts';
import { RULE_NAMES } from '../../model/rules.ts';
import { SMALL } from '../../model/scenarios.ts';

const MAX_STATES = 1_000_000;

test.each(SMALL)('the protocol keeps its promises in every state of: $name', (scenario) => {
  const { counterExample, states } = explore({ ...scenario, without: new Set() }, MAX_STATES);

  expect(counterExample).toBeUndefined();
  expect(states).toBeGreaterThan(1_000);
});

test.each(RULE_NAMES)('without the rule %s, the model finds how it goes wrong', (rule) => {
  const broken = SMALL.some(
    (scenario) => explore({ ...scenario, without: new Set([rule]) }, MAX_STATES).counterExample,
  );

  expect(broken).toBe(true);
});
