import type { Pool } from 'pg';
import { pruneRuns, type PruneReport } from '../prune/prune-runs.ts';
import { KINDS, type Counts, type Kind } from '../prune/tables.ts';
import type { WorldConfig } from '../config/config.ts';

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

export interface PruneCommand {
  /** As the user wrote it, for the report. */
  olderThan: string;
  olderThanSeconds: number;
  dryRun: boolean;
  json: boolean;
}

export interface PruneOutput {
  /** A line for the log. */
  note(line: string): void;
  /** The result: one text, which ends with a newline. */
  print(text: string): void;
}

/**
 * `prune`: removes what ended long ago, and says what that was. With `json`:
 * `{"dryRun","olderThanSeconds","removed":{"runs","events",…},"keptRuns"}`; in a dry run, `removed` is
 * what would be.
 * @param signal stops it between two transactions; what was removed until then stays so
 */
export async function prune(
  pool: Pool,
  { jobPrefix, queueSchema }: Pick<WorldConfig, 'jobPrefix' | 'queueSchema'>,
  { olderThan, olderThanSeconds, dryRun, json }: PruneCommand,
  { note, print }: PruneOutput,
  signal?: AbortSignal,
): Promise<void> {
  const onProgress = noteSometimes(note, dryRun ? 'Counted' : 'Removed');
  const options = { jobPrefix, queueSchema, olderThanSeconds, dryRun, onProgress, ...(signal && { signal }) };
  const report = await pruneRuns(pool, options);
  if (json) print(`${JSON.stringify({ dryRun, olderThanSeconds, ...report }, undefined, 2)}\n`);
  else
    print(
      describe(report, `${dryRun ? 'Would remove' : 'Removed'} of "${jobPrefix}", ended ${olderThan} ago or more:`),
    );
}

function describe({ removed, keptRuns }: PruneReport, title: string): string {
  const lines = KINDS.map((kind) => `  ${NAMES[kind].padEnd(14)}${String(removed[kind]).padStart(9)}`);
  if (keptRuns > 0) {
    const subject = keptRuns === 1 ? '1 run that old is' : `${keptRuns} runs that old are`;
    lines.push(
      `${subject} kept: a job is still queued or being worked on, until a worker with the code has seen to it.`,
    );
  }
  return `${[title, ...lines].join('\n')}\n`;
}

/** Only work that takes long has something to say in between. */
function noteSometimes(note: (line: string) => void, verb: string): (removed: Readonly<Counts>) => void {
  let notedAt = Date.now();
  return ({ runs, events, streamChunks, jobs }) => {
    if (Date.now() - notedAt < PROGRESS_INTERVAL_MS) return;
    notedAt = Date.now();
    note(`${verb} so far: ${runs} runs, ${events} events, ${streamChunks} stream chunks, ${jobs} finished jobs`);
  };
}
