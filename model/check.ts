/**
 * Checks a model of the lease protocol: every state that can be reached, with crashes, lapses, stops
 * and lost jobs in every place (`npm run model -- --help`).
 *
 * How to read it. `state.ts` is what there is; `protocol.ts` lists the actions of a state, which
 * `driver.ts` (src/queue/drive-run.ts), `executor.ts` (handle-step-job.ts), `wake.ts` (jobs.ts) and
 * `database.ts` (what one statement does to a job) spell out. One transaction is one action;
 * whatever may happen between two, happens. `explore.ts` visits the states, `rules.ts` says what is checked.
 *
 * Left out on purpose: notifications (hints; a poll is beneath each), the hand over after an hour
 * (the same replacement as at a stop), event ids, streams, and how long anything takes.
 */
import { parseArgs } from 'node:util';
import { explore, TooManyStates, type Exploration } from './explore.ts';
import { INVARIANTS, RULE_NAMES, RULES, type Rule } from './rules.ts';
import { SCENARIOS, SMALL } from './scenarios.ts';
import type { Scenario } from './state.ts';

const BOUNDS = ['steps', 'workers', 'slots', 'crashes', 'lapses', 'stops', 'truncates'] as const;
const MAX_STATES = 5_000_000;

const HELP = `Usage: npm run model -- [OPTIONS]

Explores every reachable state of the lease protocol, and prints the shortest way to a state that breaks an invariant.

Options
  --without RULE    leave a rule out (again for more of them), which shows what it is for
  --scenario TEXT   only the scenarios whose name contains TEXT
  --small           the small scenarios, a second each
  --steps, --workers, --slots, --crashes, --lapses, --stops, --truncates N
                    another bound, for all scenarios that are checked
  --max-states N    give up beyond this many (${MAX_STATES})
  --json            one JSON document on stdout
  --help            this text

Rules
${RULE_NAMES.map((rule) => `  ${rule.padEnd(28)}${RULES[rule]}`).join('\n')}

Invariants
${INVARIANTS.map((invariant) => `  ${invariant}`).join('\n')}

Exit codes: 0 all hold, 1 a counter-example was found, 2 wrong usage or too many states.`;

const fail = (message: string): never => {
  console.error(message);
  process.exit(2);
};

const { values } = readArguments();
if (values.help) {
  console.log(HELP);
} else {
  const without = new Set(values.without as Rule[]);
  const results = chosenScenarios().map((scenario) => check(scenario, without));
  if (values.json) console.log(JSON.stringify({ without: [...without], scenarios: results }));
  else summarize(results);
  process.exitCode = results.some(({ counterExample }) => counterExample) ? 1 : 0;
}

function readArguments() {
  const bounds = Object.fromEntries(BOUNDS.map((bound) => [bound, { type: 'string' as const }]));
  try {
    const parsed = parseArgs({
      options: {
        ...bounds,
        without: { type: 'string', multiple: true, default: [] },
        scenario: { type: 'string', default: '' },
        small: { type: 'boolean', default: false },
        'max-states': { type: 'string', default: String(MAX_STATES) },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const unknown = parsed.values.without.find((rule) => !(rule in RULES));
    if (unknown !== undefined) fail(`There is no rule ${unknown}. The rules are ${RULE_NAMES.join(', ')}.`);
    return parsed;
  } catch (error) {
    return fail(`${(error as Error).message} See --help.`);
  }
}

function chosenScenarios(): Scenario[] {
  const given = values as Record<string, unknown>;
  const bounds = BOUNDS.filter((bound) => given[bound] !== undefined).map((bound) => {
    const count = Number(given[bound]);
    const least = bound === 'workers' || bound === 'slots' ? 1 : 0;
    if (!Number.isInteger(count) || count < least || count > 8) fail(`--${bound} takes a number from ${least} to 8.`);
    return [bound, count] as const;
  });
  if (!(Number(values['max-states']) > 0)) fail('--max-states takes a number.');
  const chosen = (values.small ? SMALL : SCENARIOS).filter(({ name }) => name.includes(values.scenario));
  if (chosen.length === 0) fail(`There is no scenario ${values.scenario}.`);
  return chosen.map((scenario) => ({ ...scenario, ...Object.fromEntries(bounds) }));
}

type Result = Exploration & { scenario: string; seconds: number };

function check(scenario: Scenario, without: ReadonlySet<Rule>): Result {
  const began = performance.now();
  try {
    const exploration = explore({ ...scenario, without }, Number(values['max-states']));
    const result = { scenario: scenario.name, seconds: (performance.now() - began) / 1_000, ...exploration };
    if (!values.json) print(result);
    return result;
  } catch (error) {
    if (error instanceof TooManyStates) return fail(`${error.message}. Take smaller bounds, or --max-states.`);
    throw error;
  }
}

function print({ scenario, states, transitions, seconds, counterExample }: Result): void {
  const mark = counterExample ? '✗' : '✓';
  console.log(`${mark} ${scenario}: ${states} states, ${transitions} transitions, ${seconds.toFixed(1)} s`);
  if (!counterExample) return;
  console.log(`  ${counterExample.broken}:`);
  for (const [index, label] of counterExample.trace.entries())
    console.log(`  ${String(index + 1).padStart(3)}. ${label}`);
}

function summarize(results: readonly Result[]): void {
  const states = results.reduce((sum, it) => sum + it.states, 0);
  const seconds = results.reduce((sum, it) => sum + it.seconds, 0);
  console.log(`\n${states} states in ${seconds.toFixed(1)} s. Checked in each:`);
  for (const invariant of INVARIANTS) console.log(`  ${invariant}`);
}
