import type { RunUsage } from '../postgres/model-usage.ts';

const UNITS: [string, number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
];

/** `0.4 s`, `3 s`, `12 s`, `3 min 20 s`, `2 d 4 h` */
export function formatDuration(durationMs: number): string {
  const seconds = Math.round(Math.max(0, durationMs) / 100) / 10;
  if (seconds < 10) return `${seconds} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [unit, size] = UNITS.find(([, it]) => seconds >= it)!;
  const [smallerUnit, smaller] = UNITS.find(([, it]) => it < size) ?? ['s', 1];
  const rest = Math.floor((seconds % size) / smaller);
  return `${Math.floor(seconds / size)} ${unit}${rest > 0 ? ` ${rest} ${smallerUnit}` : ''}`;
}

export function formatSpan(from: Date, to: Date): string {
  return formatDuration(to.getTime() - from.getTime());
}

/** What a workflow returned, key by key. */
export function describeResult(result: unknown, hidden: ReadonlySet<string> = new Set()): string[] {
  const entries: [string, unknown][] =
    result instanceof Object && !Array.isArray(result) ? Object.entries(result) : [['value', result]];
  return entries
    .filter(([key]) => !hidden.has(key))
    .map(([key, value]) => `  ${key}: ${typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)}`)
    .map((line) => line.replaceAll('\n', '\n  '));
}

/** The lines `model`, `tokens` and `cost` of a run; none if it asked no model. */
export function describeUsage(usage: RunUsage, model: 'claude' | 'simulated'): [string, string][] {
  if (usage.calls === 0) return [];
  const { simulated } = usage;
  // A step may ask another provider, whoever answers the others.
  const partly = model === 'simulated' && !simulated ? ', in part SIMULATED' : '';
  const cached = usage.cachedTokens > 0 ? ` (${count(usage.cachedTokens)} of them cached)` : '';
  const open = usage.openCalls > 0 ? `, ${count(usage.openCalls)} of them running` : '';
  const cutOff = usage.cutOffCalls > 0 ? `, ${count(usage.cutOffCalls)} of them cut off` : '';
  const unknown = usage.cutOffCalls > 0 ? ' and what the cut off calls cost' : '';
  const calls = `${count(usage.calls)} ${usage.calls === 1 ? 'call' : 'calls'}${open}${cutOff}`;
  return [
    ['model', usage.models.join(', ') + (simulated ? ', SIMULATED: made up by counting words' : partly)],
    ['tokens', `${count(usage.inputTokens)} in${cached}, ${count(usage.outputTokens)} out, ${calls}`],
    [
      'cost',
      `$${usage.costUsd.toFixed(4)}${unknown}${simulated ? ' if it were real; nothing was paid' : `, as Claude Code states it${partly}`}`,
    ],
  ];
}

/** Lines of two columns, the first one as wide as it has to be. */
export function alignPairs(pairs: readonly (readonly [string, string])[], indent = '  '): string[] {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(
    ([label, value]) =>
      `${indent}${label.padEnd(width)}  ${value.replaceAll('\n', `\n${indent}${' '.repeat(width + 2)}`)}`,
  );
}

/** Lines of several columns, each as wide as it has to be. */
export function alignColumns(rows: readonly (readonly string[])[], indent = ''): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) => (indent + row.map((cell, column) => cell.padEnd(width(column))).join('  ')).trimEnd());
}

function count(n: number): string {
  return n.toLocaleString('en');
}
