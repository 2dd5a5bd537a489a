import type { Pool } from 'pg';
import { APPROVAL_PREFIX } from '../approval/approval.ts';
import { ConfigError, type WorldConfig } from '../config/config.ts';
import { isSimulated, simulatedDeployment } from '../model/simulated-api.ts';
import { readCalls, readUsage } from '../postgres/model-usage.ts';
import { listRuns, type RunOverview } from '../postgres/run-overview.ts';
import { findWorkers, type WorkerEntry } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { formatDuration, formatSpan } from './format.ts';
import type { Answer } from './output.ts';
import { describeInFull } from './run-details.ts';
import { readActivities } from './run-events.ts';
import { readResult } from './run-result.ts';
import { fileOf, shortName } from './timeline.ts';
import { asksForApproval, isStranded, waitsForCode, workerCommand } from './waiting.ts';

/** The workers, and the runs with what each is doing. */
export async function answerStatus({ pool, config, now }: RunningWorld, limit: number): Promise<Answer> {
  const { jobPrefix } = config;
  const [workers, { runs, total }] = await Promise.all([
    findWorkers(pool, jobPrefix),
    listRuns(pool, { jobPrefix, limit }),
  ]);
  const documents = runs.map((run) => ({ ...summarize(run), waitsForWorker: isStranded(run, workers) }));
  const lines = [
    ...describeWorkers(workers, runs, config, now()),
    '',
    ...(runs.length === 0 ? ['No runs.'] : runs.flatMap((run) => describeRun(run, nameApart(run, runs), workers))),
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
  const [activities, usage, calls, stored] = await Promise.all([
    readActivities(world, runId),
    readUsage(pool, runId),
    readCalls(pool, runId),
    world.runs.get(runId, { resolveData: 'all' }),
  ]);
  const stranded = isStranded(run, workers);
  const result = await readResult(stored);
  const error = stored.error?.message;
  return {
    text: describeInFull(run, { activities, usage, calls, stranded, error, result, now: now() }),
    document: { ...summarize(run), waitsForWorker: stranded, error, result, usage, calls, activities },
  };
}

function summarize({ deploymentId, workflowName, ...run }: RunOverview) {
  const model = isSimulated(deploymentId) ? 'simulated' : 'claude';
  const [runningSteps, queuedSteps] = [run.runningSteps, run.queuedSteps].map((names) => names.map(shortName));
  const [workflow, file] = [shortName(workflowName), fileOf(workflowName)];
  return { ...run, workflow, file, runningSteps, queuedSteps, deploymentId, model };
}

/** @throws ConfigError if the job prefix has no such run */
export async function findRun(pool: Pool, jobPrefix: string, runId: string): Promise<RunOverview> {
  const { runs } = await listRuns(pool, { jobPrefix, limit: 1, runId });
  if (!runs[0]) throw new ConfigError(`There is no run ${runId} with the job prefix "${jobPrefix}".`);
  return runs[0];
}

function describeWorkers(
  workers: readonly WorkerEntry[],
  runs: readonly RunOverview[],
  { jobPrefix, model }: WorldConfig,
  now: number,
): string[] {
  if (workers.length === 0) {
    // Of the run that waits for it, if there is one.
    const deployment =
      runs.find((run) => isStranded(run, []))?.deploymentId ?? (model === 'simulated' ? simulatedDeployment('') : '');
    return [`No worker takes the runs of "${jobPrefix}".`, `  Start one: ${workerCommand(deployment)}`];
  }
  return workers.flatMap(({ host, pid, deployments, concurrency, startedAt, troubles }) => [
    `worker ${host}:${pid}  up for ${formatSpan(startedAt, new Date(now))}  ${concurrency} steps at once`,
    `  code ${deployments.join(', ')}`,
    ...troubles.flatMap(({ task, reason, since, failures }) => [
      `  ⚠ ${task} fails: ${failures} times in ${formatSpan(new Date(since), new Date(now))}`,
      `    ${reason}`,
    ]),
  ]);
}

const WORKFLOW_WIDTH = 26;

/** With its file where the list has another workflow of the same name. */
function nameApart({ workflowName }: RunOverview, runs: readonly RunOverview[]): string {
  const name = shortName(workflowName);
  const isOnlyOne = runs.every((run) => run.workflowName === workflowName || shortName(run.workflowName) !== name);
  return isOnlyOne ? name : `${fileOf(workflowName)}#${name}`;
}

function describeRun(run: RunOverview, workflow: string, workers: readonly WorkerEntry[]): string[] {
  const { runId, status, ageMs } = run;
  const line = [runId, workflow.padEnd(WORKFLOW_WIDTH), status.padEnd(9), formatDuration(ageMs)].join('  ');
  // Whoever waits for approval needs a worker only then: what answers it says so.
  const isWaitingForCode = isStranded(run, workers) && !run.waitsForApproval;
  const current = isWaitingForCode ? waitsForCode(run) : describeCurrent(run);
  return current ? [line, `  ${current}`] : [line];
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
