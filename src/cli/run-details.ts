import { isSimulated } from '../model/simulated-api.ts';
import type { CallRecord, RunUsage } from '../postgres/model-usage.ts';
import type { RunOverview } from '../postgres/run-overview.ts';
import { describeCalls } from './calls.ts';
import { alignPairs, describeResult, describeUsage, formatDuration, formatSpan } from './format.ts';
import { fileOf, shortName, type Activity } from './timeline.ts';
import { asksForApproval, waitsForCode } from './waiting.ts';

export interface RunDetails {
  activities: Activity[];
  usage: RunUsage;
  calls: CallRecord[];
  stranded: boolean;
  error: string | undefined;
  /** What the workflow returned. */
  result: unknown;
  /** By the database's clock, as the times are. */
  now: number;
}

/** One run, for `status RUN_ID`. */
export function describeInFull(
  run: RunOverview,
  { activities, usage, calls, stranded, error, result, now }: RunDetails,
): string {
  const { runId, workflowName, status, deploymentId, ageMs, createdAt } = run;
  const ended = run.completedAt !== null;
  const facts: [string, string][] = [
    ['run', runId],
    ['file', fileOf(workflowName)],
    ['state', `${status}${ended ? ` in ${formatDuration(ageMs)}` : `, for ${formatDuration(ageMs)}`}`],
    ['started', createdAt.toISOString()],
    ['code', deploymentId],
    ...(run.redriveOf ? [['anew of', run.redriveOf] satisfies [string, string]] : []),
    ...(run.redrivenAs ? [['anew as', run.redrivenAs] satisfies [string, string]] : []),
    ...describeUsage(usage, isSimulated(deploymentId) ? 'simulated' : 'claude'),
  ];
  if (error) facts.push(['error', error]);
  const steps = activities.map((activity) => describeActivity(activity, new Date(now)));
  return [
    shortName(workflowName),
    ...alignPairs(facts),
    ...(run.waitsForApproval ? [`  ${asksForApproval(run)}`] : []),
    ...(stranded ? [`  ${waitsForCode(run)}`] : []),
    '',
    ...alignPairs(steps),
    ...describeCalls(calls),
    ...(result === undefined ? [] : ['', '  Result', ...describeResult(result, SHOWN_ALREADY)]),
  ].join('\n');
}

/** The input, and what the lines above say. */
const SHOWN_ALREADY = new Set(['content', 'workflowId', 'model']);

const MARKS: Record<Activity['state'], string> = {
  queued: '·',
  running: '→',
  retrying: '↻',
  waiting: '⏸',
  completed: '✓',
  failed: '✗',
  'cut off': '✗',
};

function describeActivity(
  { state, name, kind, executions, createdAt, startedAt, endedAt, dueAt, error }: Activity,
  now: Date,
): [string, string] {
  const title = kind === 'hook' ? `hook ${name}` : name;
  const label = `${MARKS[state]} ${title}`;
  const parts: string[] = [];
  if (state === 'running' && startedAt) parts.push(`for ${formatSpan(startedAt, now)}`);
  else if (endedAt)
    parts.push(`${state === 'cut off' ? 'cut off after ' : ''}${formatSpan(startedAt ?? createdAt, endedAt)}`);
  if ((state === 'waiting' || state === 'retrying') && dueAt) parts.push(`${formatSpan(now, dueAt)} left`);
  if (executions > 1) parts.push(`${executions} executions`);
  if (error) parts.push(error);
  return [label, parts.join(', ')];
}
