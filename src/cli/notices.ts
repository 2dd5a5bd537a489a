import type { RunningWorld, WorldConfig } from '../../world-config.ts';
import { shortName } from './timeline.ts';

/** Whichever name the environment gives the World, this program uses ours. */
export function announceWorldName({ targetWorld, log }: WorldConfig): void {
  if (targetWorld !== '@workflow/world-postgres') return;
  log('WORKFLOW_TARGET_WORLD=@workflow/world-postgres: its storage, with the queue and streams of ./world-config.ts');
}

const LOOK = '\n  See: npm run postgres-world:status';

export function announceSimulation({ config }: Pick<RunningWorld, 'config'>, asked: boolean): void {
  config.log('');
  const reason = asked ? 'as WORKFLOW_MODEL asks for' : 'since nobody is logged in to Claude';
  config.log(`⚠ SIMULATED, ${reason}: the answers are made up.`);
  if (!asked) config.log('  For real ones: npm run claude:login (or set ANTHROPIC_API_KEY).');
  config.log('');
}

export function announceWorker({ config, deploymentId }: RunningWorld): void {
  const { jobPrefix, queueConcurrency } = config;
  config.log(`Worker: takes the runs of "${jobPrefix}", code ${deploymentId}.`);
  config.log(`${queueConcurrency} steps at once; Ctrl+C hands its work back and stops.`);
}

/**
 * Names the runs that an earlier process left: this one's worker goes on with them.
 * @returns says at the end what has become of them
 */
export async function announceUnfinishedRuns({ config, findUnfinishedRuns, takes }: RunningWorld) {
  const runs = (await findUnfinishedRuns()).filter(({ waitsForApproval }) => !waitsForApproval);
  const ours = runs.filter(({ deploymentId }) => takes(deploymentId));
  const others = runs.length - ours.length;
  if (ours.length > 0) {
    config.log(`${count(ours.length)} from before; this process works on them, too:`);
    for (const { runId, workflowName } of ours) config.log(`  ${runId} ${shortName(workflowName)}`);
  }
  if (others > 0) config.log(`${count(others)} from before: of other code, or another model. ${LOOK}`);

  return async (): Promise<void> => {
    if (ours.length === 0) return;
    const unfinished = new Map((await findUnfinishedRuns()).map((run) => [run.runId, run]));
    for (const { runId } of ours) {
      const run = unfinished.get(runId);
      if (run?.waitsForApproval) config.log(`⏸ ${runId} waits for approval. ${LOOK}`);
      else if (run) config.log(`… ${runId} is not finished yet: another worker, or the next example, goes on with it`);
      else config.log(`✓ ${runId} is finished too`);
    }
  };
}

function count(runs: number): string {
  return runs === 1 ? '1 unfinished run' : `${runs} unfinished runs`;
}
