import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_CONTENT } from '../../src/cli/samples.ts';
import { median } from '../report/statistics.ts';
import { inSession, type Session } from '../setting/session.ts';
import { startWorker } from '../setting/worker-process.ts';
import { workerFile } from '../systems/system.ts';
import type { Workload } from './workload.ts';

/** `sleep('3s')` of the workflow. */
const WAIT_MS = 3_000;

/** Until nothing runs any more, and what is made ready ahead of need is ready. */
const PAUSE_MS = 3_000;

export const w8: Workload = {
  name: 'W8',
  title: 'the example, simulated, less its bare model calls and its wait',
  systems: ['ours'],
  shown: ['engineMs', 'workflowMs', 'bareCallsMs', 'firstTokenMsP50'],
  async measure({ quick, ...situation }) {
    const options = { ...situation, env: { BENCH_WORKFLOWS: '../../workflow-example.ts' } };
    const { result } = await inSession(options, async (session) => {
      await using opened = new AsyncDisposableStack();
      const bare = opened.adopt(
        await startWorker({ module: workerFile('bare-calls'), env: {}, onSteps() {}, onDeath() {} }),
        (worker) => worker.stop(),
      );
      const workflowMs: number[] = [];
      const bareCallsMs: number[] = [];
      for (let n = 0; n < (quick ? 1 : 5); n += 1) {
        await delay(PAUSE_MS);
        workflowMs.push(await session.run({ workflow: 'contentAnalysisWorkflow', args: [SAMPLE_CONTENT], steps: 0 }));
        await delay(PAUSE_MS);
        bareCallsMs.push(await bare.ask<number>('ask', SAMPLE_CONTENT));
      }
      const [workflow, calls] = [median(workflowMs), median(bareCallsMs)];
      return {
        engineMs: workflow - WAIT_MS - calls,
        workflowMs: workflow,
        bareCallsMs: calls,
        firstTokenMsP50: median(await firstTokens(session)),
      };
    });
    return result;
  },
};

/** From the start of each step to the first token of its call, ms. */
async function firstTokens({ client }: Session): Promise<number[]> {
  const { rows } = await client.query<{ ms: number }>(
    `SELECT extract(epoch FROM c.started_at - s.started_at AT TIME ZONE 'UTC')::float * 1000 + c.first_token_ms AS ms
     FROM workflow_engine.model_calls c JOIN workflow.workflow_steps s USING (run_id, step_id)
     WHERE c.first_token_ms IS NOT NULL`,
  );
  return rows.map(({ ms }) => ms);
}
