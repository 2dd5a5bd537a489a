import { WorkflowRunNotFoundError } from '@workflow/errors';
import { MessageId, parseQueueName, type Queue } from '@workflow/world';
import type { Pool } from 'pg';
import { readDeployment } from '../postgres/run-progress.ts';
import { assertSize } from '../postgres/storable.ts';
import { createQueueHandler } from '../runtime/handlers.ts';
import { scopeOf } from '../runtime/scope.ts';
import { queueNames } from './boss.ts';
import type { Jobs } from './jobs.ts';
import { encodePayload, type JobData } from './messages.ts';

export interface WorldQueueOptions {
  pool: Pool;
  jobs: Jobs;
  jobPrefix: string;
  maxValueBytes: number;
  /** What the runs that this process starts will need. */
  getDeploymentId(): Promise<string>;
}

/** The World's queue: the runtime's messages become jobs, or notes to the driver that is replaying. */
export function createWorldQueue({ pool, jobs, jobPrefix, maxValueBytes, getDeploymentId }: WorldQueueOptions): Queue {
  const nothingSent = { messageId: null };

  return {
    createQueueHandler,
    getDeploymentId,

    async queue(queueName, payload, options = {}) {
      // It may begin the run, as the event that is refused for the same.
      if ('runInput' in payload) assertSize('what the run is started with', payload.runInput?.input, maxValueBytes);
      const data: JobData = { queueName, payload: encodePayload(payload) };
      if (!('runId' in payload || 'stepId' in payload)) {
        const { flows } = queueNames(jobPrefix, options.deploymentId ?? (await getDeploymentId()));
        const key = (payload as { correlationId?: string }).correlationId ?? queueName;
        await jobs.wake(flows, key, data);
        return { messageId: MessageId.parse(`msg_${key}`) };
      }
      const runId = 'stepId' in payload ? payload.workflowRunId : payload.runId;
      const scope = scopeOf(runId);
      if (scope?.kind === 'replay') {
        if ('stepId' in payload) scope.requestedSteps.push({ queueName, payload });
        else scope.again = payload;
        return nothingSent;
      }
      const queues = queueNames(jobPrefix, await deploymentOf(runId, options.deploymentId));
      if ('stepId' in payload) {
        await jobs.sendStep(queues.steps, payload.stepId, data, options.delaySeconds);
        return { messageId: MessageId.parse(`msg_${payload.stepId}`) };
      }
      // The driver that executes this step under the run's own lease looks by itself.
      if (scope?.kind === 'step' && scope.lease.queue === queues.flows) return nothingSent;
      await jobs.wake(queues.flows, runId, data);
      return { messageId: MessageId.parse(`msg_${runId}`) };
    },
  };

  async function deploymentOf(runId: string, given: string | undefined): Promise<string> {
    const scope = scopeOf(runId);
    if (scope?.kind === 'step') return scope.deploymentId;
    if (given !== undefined) return given;
    const run = await readDeployment(pool, runId);
    if (run && run.jobPrefix !== jobPrefix) throw new WorkflowRunNotFoundError(runId);
    return run?.deploymentId ?? getDeploymentId();
  }
}

/** Has a run looked at whose log got an event that no message of the runtime follows. */
export async function requestReplay(pool: Pool, jobs: Jobs, runId: string): Promise<void> {
  const run = await readDeployment(pool, runId);
  if (!run) return;
  const { flows } = queueNames(run.jobPrefix, run.deploymentId);
  await jobs.wake(flows, runId, { queueName: workflowQueueName(run.workflowName), payload: { runId } });
}

/** The runtime's name for the queue of a workflow. */
export function workflowQueueName(workflowName: string): JobData['queueName'] {
  const name = `__wkf_workflow_${workflowName}`;
  parseQueueName(name);
  return name;
}
