import { setTimeout as delay } from 'node:timers/promises';
import type { World } from '@workflow/world';
import { DATABASE_PATIENCE_MS, retryTransient } from '../postgres/transient.ts';
import { findWorkers } from '../postgres/workers.ts';
import type { RunningWorld } from '../runtime/current-world.ts';
import { readText } from '../streams/read-text.ts';
import { nameOfStream } from '../streams/run-stream.ts';
import type { Question } from './answers.ts';
import { showPiece } from './follow-text.ts';
import { formatSpan } from './format.ts';
import { createProgress } from './progress.ts';
import { followEvents } from './run-events.ts';
import { findRun } from './status.ts';
import { isStranded, waitsForCode, workerCommand } from './waiting.ts';
import { shortName } from './timeline.ts';

/** How often it is looked for workers. */
const LOOK_INTERVAL_MS = 2_000;

type Attaching = Pick<Question, 'runId' | 'from' | 'output' | 'stopping'>;

/**
 * `attach RUN_ID`: shows the text of a run from chunk `from` on, as it is written, until the run has
 * ended, and how it ended.
 * @returns the exit code
 * @throws ConfigError if there is no such run
 */
export async function answerAttach(running: RunningWorld, question: Attaching): Promise<number> {
  const { world, pool, config, now } = running;
  const { runId, output } = question;
  // A stream may be read before its run is there: whoever waits for one that never was waits for an hour.
  const { workflowName } = await findRun(pool, config.jobPrefix, runId);
  const ended = new AbortController();
  using progress = createProgress(output, now);
  const [run] = await Promise.all([
    followEvents(world, runId, progress.show).finally(() => ended.abort()),
    showText(world, question, ended.signal),
    tellIfStranded(running, question, ended.signal),
  ]);
  const lookAtStream = () => world.getStreamInfo(nameOfStream(runId), runId);
  const { tailIndex } = await retryTransient(lookAtStream, DATABASE_PATIENCE_MS);
  const { status, createdAt, completedAt, error } = run;
  const chunks = tailIndex + 1;
  if (chunks === 0) output.note('The run has streamed no text.');
  else if (question.from >= chunks)
    output.note(`The run has streamed ${chunks} chunks: none from ${question.from} on.`);
  const isCompleted = status === 'completed';
  const took = completedAt ? ` in ${formatSpan(createdAt, completedAt)}` : '';
  output.note(`${isCompleted ? '✓' : '✗'} ${shortName(workflowName)} ${status}${took}`);
  if (error) output.note(`  ${error.message.replaceAll('\n', '\n  ')}`);
  output.line({ runId, status, chunks, error: error?.message });
  return isCompleted ? 0 : 1;
}

async function showText(world: World, { runId, from, output, stopping }: Attaching, ended: AbortSignal): Promise<void> {
  let next = from;
  const tellHowToGoOn = () => output.note(`To go on: npm run postgres-world:attach -- ${runId} --from ${next}`);
  stopping.addEventListener('abort', tellHowToGoOn, { signal: ended });
  for await (const piece of readText(world, runId, from)) {
    if (stopping.aborted) return;
    showPiece(piece, output);
    const { index, attempt, text, superseded } = piece;
    output.line({ index, attempt, text, superseded });
    next = index + 1;
  }
}

/** Once, be it from the beginning, or because the last worker that could drive the run has died. */
async function tellIfStranded(
  { pool, config: { jobPrefix } }: RunningWorld,
  { runId, output }: Attaching,
  ended: AbortSignal,
): Promise<void> {
  while (!ended.aborted) {
    // If the run was removed, or the database is away, those who follow it know what to do.
    const looked = Promise.all([findRun(pool, jobPrefix, runId), findWorkers(pool, jobPrefix)]).catch(() => undefined);
    const found = await looked;
    if (found && isStranded(...found)) {
      const [run] = found;
      output.note(`${waitsForCode(run)}\n  ${workerCommand(run.deploymentId)}`);
      return;
    }
    await delay(LOOK_INTERVAL_MS, undefined, { signal: ended }).catch(() => undefined);
  }
}
