import { alignPairs, describeUsage, formatDuration } from '../cli/format.ts';
import type { FollowedRun } from '../cli/follow-run.ts';
import type { CrashReport, StepReport } from './report.ts';

export interface CrashOutcome extends CrashReport {
  run: FollowedRun;
  jobPrefix: string;
  killedPid: number;
  otherPid: number;
}

const FATES: Record<StepReport['fate'], [string, string]> = {
  reused: ['✓ completed', 'reused'],
  repeated: ['✗ cut off', 'repeated'],
  begun: ['', 'executed'],
};

/** The table at the end of the crash example. */
export function describeCrash(outcome: CrashOutcome): string {
  const { run, killedAfterMs, wentOnAfterMs, killedPid, otherPid, modelCalls, apiCalls, jobPrefix } = outcome;
  const mark = run.status === 'completed' ? '✓' : '✗';
  const facts: [string, string][] = [
    ['killed', `${formatDuration(killedAfterMs)} after the start: worker ${killedPid}, by SIGKILL`],
    ['went on', `${formatDuration(wentOnAfterMs - killedAfterMs)} later, on worker ${otherPid}`],
    ['calls', describeCalls(modelCalls, apiCalls)],
    ...describeUsage(run.usage, run.model),
    ['run', run.runId],
  ];
  const { synthesis } = (run.result ?? {}) as { synthesis?: string };
  return [
    `\n${mark} ${run.workflow} ${run.status} in ${formatDuration(run.durationMs)}, although its worker was killed\n`,
    ...describeSteps(outcome.steps),
    '',
    ...alignPairs(facts),
    '',
    `  ${(run.error ?? synthesis ?? '').replaceAll('\n', '\n  ')}`,
    '',
    '  Look at it:',
    `    WORKFLOW_POSTGRES_JOB_PREFIX=${jobPrefix} npm run postgres-world:status -- ${run.runId}`,
    `    npm run postgres-world:web -- ${run.runId}`,
  ].join('\n');
}

function describeSteps(steps: readonly StepReport[]): string[] {
  const rows = steps.map(({ step, fate, executions, modelCalls }) => {
    const [before, after] = FATES[fate];
    return [step, before, after, String(executions), String(modelCalls)];
  });
  const table = [['step', 'before the kill', 'after it', 'executions', 'model calls'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd());
}

function describeCalls({ begun, cutOff }: CrashReport['modelCalls'], api: CrashReport['apiCalls']): string {
  const repeated = `${begun} of a model, ${cutOff} of them cut off and made again`;
  return api ? `${repeated}; the API counted ${api.begun} and ${api.cutOff}` : repeated;
}
