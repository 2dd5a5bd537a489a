import type { Outcome } from './lane.ts';

const VERDICTS = ['fine', 'nothing started', 'not reached', 'defect'] as const;

const MEANING: Record<Outcome['verdict'], string> = {
  fine: 'another worker went on, and the run ended as it would have',
  'nothing started': 'it died before anything was recorded, and nothing is left of it',
  'not reached': 'this run took fewer statements, and ended as it would have',
  defect: 'see below',
};

/** One line. */
export function describeOutcome({ k, verdict, statement, problems, recoveryMs }: Outcome): string {
  const recovered = recoveryMs === undefined ? '' : `, ended ${(recoveryMs / 1_000).toFixed(1)} s later`;
  const before = statement ? `before ${statement.slice(0, 60)}` : '';
  return `${verdict === 'defect' ? '✗' : '✓'} ${k} ${before}: ${[verdict + recovered, ...problems].join('; ')}`;
}

/** What came of the deaths, as a table, and the defects one by one. */
export function summarize(outcomes: readonly Outcome[], seconds: number): string {
  const rows = VERDICTS.map((verdict) => ({ verdict, ks: outcomes.filter((outcome) => outcome.verdict === verdict) }));
  const recoveries = outcomes.map(({ recoveryMs }) => recoveryMs ?? -1).filter((ms) => ms >= 0);
  const sorted = recoveries.toSorted((a, b) => a - b);
  const shown = (ms = 0) => `${(ms / 1_000).toFixed(1)} s`;
  return [
    `${outcomes.length} deaths in ${seconds} s; from the death to the end of the run, the start of another worker`,
    `and the run's own waits included: median ${shown(sorted[sorted.length >> 1])}, at most ${shown(sorted.at(-1))}.`,
    '',
    ...rows.map(({ verdict, ks }) => `${verdict.padEnd(16)}${String(ks.length).padStart(5)}  ${MEANING[verdict]}`),
    ...outcomes.filter(({ verdict }) => verdict === 'defect').map((outcome) => `\n${describeOutcome(outcome)}`),
  ].join('\n');
}
