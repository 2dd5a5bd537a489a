import type { Pool } from 'pg';
import { APPROVAL_PREFIX, approvalCommands } from '../approval/approval.ts';
import { ConfigError, type WorldConfig } from '../config/config.ts';
import { isSimulated } from '../model/simulated-api.ts';
import { readCalls, readUsage, type CallRecord, type RunUsage } from '../postgres/model-usage.ts';
import { describeCalls } from './calls.ts';
import { listRuns, type RunOverview } from '../postgres/run-overview.ts';
import { findWorkers, type WorkerEntry } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { alignPairs, describeUsage, formatDuration, formatSpan } from './format.ts';
import type { Answer } from './output.ts';
import { readActivities } from './run-events.ts';
import { shortName, type Activity } from './timeline.ts';

/** The workers, and the runs with what each is doing. */
export async function answerStatus({ pool, config, now }: RunningWorld, limit: number): Promise<Answer> {
  const { jobPrefix } = config;
  const [workers, { runs, total }] = await Promise.all([
    findWorkers(pool, jobPrefix),
    listRuns(pool, { jobPrefix, limit }),
  ]);
  const documents = runs.map((run) => ({ ...summarize(run), waitsForWorker: isStranded(run, workers) }));
  const lines = [
    ...describeWorkers(workers, config, now()),
    '',
    ...(runs.length === 0 ? ['No runs.'] : runs.flatMap((run) => describeRun(run, workers))),
    ...(total > runs.length ? [`… and ${total - runs.length} more: --limit ${total}`] : []),
  ];
  return { text: lines.join('\n'), document: { workers, total, runs: documents } };
}

/**
 * One run with all that it did.
 * @throws ConfigError
 */
export async function answerRunStatus({ pool, world, config, now }: RunningWorld, runId: string): Promise<Answer> {
  const { jobPrefix } = config;
  const [workers, run] = await Promise.all([findWorkers(pool, jobPrefix), findRun(pool, jobPrefix, runId)]);
  const [activities, usage, calls, { error }] = await Promise.all([
    readActivities(world, runId),
    readUsage(pool, runId),
    readCalls(pool, runId),
    world.runs.get(runId, { resolveData: 'all' }),
  ]);
  const stranded = isStranded(run, workers);
  return {
    text: describeInFull(run, { activities, usage, calls, stranded, error: error?.message, now: now() }),
    document: { ...summarize(run), waitsForWorker: stranded, error: error?.message, usage, calls, activities },
  };
}

function summarize({ deploymentId, workflowName, ...run }: RunOverview) {
  const model = isSimulated(deploymentId) ? 'simulated' : 'claude';
  const [runningSteps, queuedSteps] = [run.runningSteps, run.queuedSteps].map((names) => names.map(shortName));
  return { ...run, workflow: shortName(workflowName), runningSteps, queuedSteps, deploymentId, model };
}

/** @throws ConfigError if the job prefix has no such run */
export async function findRun(pool: Pool, jobPrefix: string, runId: string): Promise<RunOverview> {
  const { runs } = await listRuns(pool, { jobPrefix, limit: 1, runId });
  if (!runs[0]) throw new ConfigError(`There is no run ${runId} with the job prefix "${jobPrefix}".`);
  return runs[0];
}

/** Not ended, and nobody is there who could replay it. */
export function isStranded({ status, deploymentId }: RunOverview, workers: readonly WorkerEntry[]): boolean {
  const ended = status !== 'pending' && status !== 'running';
  return !ended && !workers.some(({ deployments }) => deployments.includes(deploymentId));
}

function describeWorkers(workers: readonly WorkerEntry[], { jobPrefix }: WorldConfig, now: number): string[] {
  if (workers.length === 0)
    return [`No worker takes the runs of "${jobPrefix}".`, '  Start one: npm run example:postgres-world:worker'];
  return workers.flatMap(({ host, pid, deployments, concurrency, startedAt }) => [
    `worker ${host}:${pid}  up for ${formatSpan(startedAt, new Date(now))}  ${concurrency} steps at once`,
    `  code ${deployments.join(', ')}`,
  ]);
}

const WORKFLOW_WIDTH = 26;

function describeRun(run: RunOverview, workers: readonly WorkerEntry[]): string[] {
  const { runId, workflowName, status, ageMs } = run;
  const line = [runId, shortName(workflowName).padEnd(WORKFLOW_WIDTH), status.padEnd(9), formatDuration(ageMs)].join(
    '  ',
  );
  // Whoever waits for approval needs a worker only then: what answers it says so.
  const isWaitingForCode = isStranded(run, workers) && !run.waitsForApproval;
  const current = isWaitingForCode ? waitsForCode(run) : describeCurrent(run);
  return current ? [line, `  ${current}`] : [line];
}

export function waitsForCode({ deploymentId }: RunOverview): string {
  return `⚠ waits for a worker with the code ${deploymentId}`;
}

function asksForApproval({ runId }: RunOverview): string {
  return `⏸ waits for approval: ${approvalCommands(runId).yes} (or reject)`;
}

function describeCurrent(run: RunOverview): string {
  const { status, runningSteps, queuedSteps, hooks, timerMs } = run;
  if (status !== 'running' && status !== 'pending') return '';
  const parts = [
    ...runningSteps.map((step) => `→ ${shortName(step)}`),
    ...queuedSteps.map((step) => `↻ ${shortName(step)} is queued`),
    ...hooks.filter(isNoApproval).map((token) => `⏸ waiting for hook ${token}`),
  ];
  if (run.waitsForApproval) parts.push(asksForApproval(run));
  if (timerMs !== null) parts.push(`⏸ waiting: ${timerMs > 0 ? `${formatDuration(timerMs)} left` : 'due now'}`);
  return parts.join(', ') || 'to be taken by a worker';
}

function isNoApproval(token: string): boolean {
  return !token.startsWith(APPROVAL_PREFIX);
}

interface Details {
  activities: Activity[];
  usage: RunUsage;
  calls: CallRecord[];
  stranded: boolean;
  error: string | undefined;
  /** By the database's clock, as the times are. */
  now: number;
}

function describeInFull(run: RunOverview, { activities, usage, calls, stranded, error, now }: Details): string {
  const { runId, workflowName, status, deploymentId, ageMs, createdAt } = run;
  const ended = run.completedAt !== null;
  const facts: [string, string][] = [
    ['run', runId],
    ['state', `${status}${ended ? ` in ${formatDuration(ageMs)}` : `, for ${formatDuration(ageMs)}`}`],
    ['started', createdAt.toISOString()],
    ['code', deploymentId],
    ...(run.redriveOf ? [['anew of', run.redriveOf] satisfies [string, string]] : []),
    ...(run.redrivenAs ? [['anew as', run.redrivenAs] satisfies [string, string]] : []),
    ...describeUsage(usage, isSimulated(deploymentId) ? 'simulated' : 'claude'),
  ];
  if (error) facts.push(['error', error]);
  const steps = activities.map((activity) => describeActivity(activity, new Date(now), run.completedAt));
  return [
    shortName(workflowName),
    ...alignPairs(facts),
    ...(run.waitsForApproval ? [`  ${asksForApproval(run)}`] : []),
    ...(stranded ? [`  ${waitsForCode(run)}`] : []),
    '',
    ...alignPairs(steps),
    ...describeCalls(calls),
  ].join('\n');
}

const MARKS: Record<Activity['state'], string> = {
  queued: '·',
  running: '→',
  retrying: '↻',
  waiting: '⏸',
  completed: '✓',
  failed: '✗',
};

function describeActivity(
  { state, name, kind, executions, createdAt, startedAt, endedAt, dueAt, error }: Activity,
  now: Date,
  runEndedAt: Date | null,
): [string, string] {
  const title = kind === 'hook' ? `hook ${name}` : name;
  const isOver = state === 'completed' || state === 'failed';
  if (runEndedAt && !isOver) return [`✗ ${title}`, `cut off after ${formatSpan(startedAt ?? createdAt, runEndedAt)}`];
  const label = `${MARKS[state]} ${title}`;
  const parts: string[] = [];
  if (state === 'running' && startedAt) parts.push(`for ${formatSpan(startedAt, now)}`);
  else if (endedAt) parts.push(formatSpan(startedAt ?? createdAt, endedAt));
  if ((state === 'waiting' || state === 'retrying') && dueAt) parts.push(`${formatSpan(now, dueAt)} left`);
  if (executions > 1) parts.push(`${executions} executions`);
  if (error) parts.push(error);
  return [label, parts.join(', ')];
}
