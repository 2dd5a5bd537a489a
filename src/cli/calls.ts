import type { CallRecord } from '../postgres/model-usage.ts';
import { alignColumns, formatDuration } from './format.ts';
import { shortName } from './timeline.ts';

const OUTCOMES: Record<CallRecord['outcome'], string> = {
  running: '→ running',
  completed: '✓',
  failed: '✗',
  aborted: '✗ killed',
  lost: '✗ lost with its worker',
};

/** A line for each attempt of each call of a model: what it used, how long it took, how it ended. */
export function describeCalls(calls: readonly CallRecord[]): string[] {
  if (calls.length === 0) return [];
  const rows = calls.map((call) => [
    `${shortName(call.step)}, execution ${call.execution}`,
    call.model,
    tokens(call),
    call.costUsd === null ? '' : `$${call.costUsd.toFixed(4)}`,
    call.firstTokenMs === null ? '' : `first token ${formatDuration(call.firstTokenMs)}`,
    call.totalMs === null ? '' : `in all ${formatDuration(call.totalMs)}`,
    [OUTCOMES[call.outcome], call.apiStatus && `HTTP ${call.apiStatus}`, call.error].filter(Boolean).join(', '),
  ]);
  return ['', '  Calls of the model', ...alignColumns(rows, '  ')];
}

function tokens({ inputTokens, outputTokens, estimated }: CallRecord): string {
  return inputTokens === null ? '' : `${inputTokens} in, ${estimated ? '~' : ''}${outputTokens} out`;
}
