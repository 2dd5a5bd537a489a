import { pruneRuns, type PruneReport } from '../prune/prune-runs.ts';
import { KINDS, type Counts, type Kind } from '../prune/tables.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { formatDuration } from './format.ts';
import type { Answer } from './output.ts';

const PROGRESS_INTERVAL_MS = 2_000;

const NAMES: Record<Kind, string> = {
  runs: 'runs',
  events: 'events',
  steps: 'steps',
  hooks: 'hooks',
  waits: 'waits',
  streamChunks: 'stream chunks',
  jobs: 'finished jobs',
};

/**
 * `prune`: removes what ended long ago, and says what that was; in a dry run, what would be.
 * @param signal stops it between two transactions; what was removed until then stays so
 */
export async function answerPrune(
  { pool, config }: RunningWorld,
  { olderThanSeconds, dryRun }: { olderThanSeconds: number; dryRun: boolean },
  signal: AbortSignal,
): Promise<Answer> {
  const { jobPrefix, queueSchema } = config;
  const onProgress = noteSometimes(config.log, dryRun ? 'Counted' : 'Removed');
  const report = await pruneRuns(pool, { jobPrefix, queueSchema, olderThanSeconds, dryRun, onProgress, signal });
  const title = `${dryRun ? 'Would remove' : 'Removed'} of "${jobPrefix}", ended ${formatDuration(olderThanSeconds * 1000)} ago or more:`;
  return { text: describe(report, title), document: { dryRun, olderThanSeconds, ...report } };
}

function describe({ removed, keptRuns }: PruneReport, title: string): string {
  const lines = KINDS.map((kind) => `  ${NAMES[kind].padEnd(14)}${String(removed[kind]).padStart(9)}`);
  if (keptRuns > 0) {
    const subject = keptRuns === 1 ? '1 run that old is' : `${keptRuns} runs that old are`;
    lines.push(
      `${subject} kept: a job is still queued or being worked on, until a worker with the code has seen to it.`,
    );
  }
  return [title, ...lines].join('\n');
}

/** Only work that takes long has something to say in between. */
function noteSometimes(note: (line: string) => void, verb: string): (removed: Readonly<Counts>) => void {
  let notedAt = performance.now();
  return ({ runs, events, streamChunks, jobs }) => {
    if (performance.now() - notedAt < PROGRESS_INTERVAL_MS) return;
    notedAt = performance.now();
    note(`${verb} so far: ${runs} runs, ${events} events, ${streamChunks} stream chunks, ${jobs} finished jobs`);
  };
}
