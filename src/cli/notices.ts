import type { RunningWorld } from '../../world-config.ts';

type Note = (line: string) => void;

export function announceSimulation(note: Note): void {
  note('');
  note('⚠ SIMULATED: nobody is logged in to Claude, so the answers are made up by counting words.');
  note('  For real ones: npm run claude:login (or set ANTHROPIC_API_KEY), and run this again.');
  note('');
}

export function announceWorker({ config, deploymentId }: RunningWorld, note: Note): void {
  const { jobPrefix, queueConcurrency } = config;
  note(`Worker: takes the runs of "${jobPrefix}" (code ${deploymentId}), ${queueConcurrency} steps at once.`);
  note('Ctrl+C hands its work back and stops.');
}

/** Runs that an earlier process left: this one's worker finishes them, beside its own. */
export async function announceUnfinishedRuns({ findUnfinishedRuns, takes }: RunningWorld, note: Note): Promise<void> {
  const runs = await findUnfinishedRuns();
  const ours = runs.filter(({ deploymentId }) => takes(deploymentId));
  const others = runs.length - ours.length;
  if (ours.length > 0) {
    note(`${count(ours.length)} from before, which this process finishes beside its own:`);
    for (const { runId, workflowName } of ours) note(`  ${runId} ${workflowName.split('//').at(-1)}`);
  }
  if (others > 0) {
    note(`${count(others)} from before must wait for a worker with their code, or with a login.`);
  }
}

function count(runs: number): string {
  return runs === 1 ? '1 unfinished run' : `${runs} unfinished runs`;
}
