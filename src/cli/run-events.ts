import { setTimeout as delay } from 'node:timers/promises';
import type { Event, WorkflowRun, World } from '@workflow/world';
import { ConfigError } from '../config/config.ts';
import { isTransient } from '../postgres/transient.ts';
import { createTimeline, type Activity } from './timeline.ts';

const POLL_INTERVAL_MS = 200;

/** After this, it is looked whether the run is still there. */
const SILENCE_MS = 5_000;

/** What a run has done so far, and is doing. */
export async function readActivities(world: World, runId: string): Promise<Activity[]> {
  const timeline = createTimeline();
  for (let cursor: string | null = null; ;) {
    const events = await readEvents(world, runId, cursor);
    for (const event of events) timeline.add(event);
    const last = events.at(-1);
    if (!last) break;
    cursor = last.eventId;
  }
  return Promise.all(timeline.activities.map((activity) => withReason(world, runId, activity)));
}

/**
 * Reads the log as it grows, also while the database is away for a moment.
 * @param isParked whether the run, which waits for approval, waits for nothing else: it is not followed any more.
 *   Default: it is, until it has ended
 */
export async function followEvents(
  world: World,
  runId: string,
  onChange: (activity: Activity) => void,
  isParked: () => Promise<boolean> = async () => false,
): Promise<WorkflowRun> {
  const timeline = createTimeline();
  let cursor: string | null = null;
  let silentMs = 0;
  while (!timeline.ended) {
    const events: Event[] = await readEvents(world, runId, cursor).catch(emptyWhileAway);
    for (const event of events) {
      cursor = event.eventId;
      const activity = timeline.add(event);
      if (activity) onChange(await withReason(world, runId, activity));
    }
    if (events.length > 0) continue;
    const isAsking = timeline.activities.some(({ kind, state }) => kind === 'approval' && state === 'waiting');
    if (isAsking && (await isParked().catch(undefinedWhileAway))) break;
    await delay(POLL_INTERVAL_MS);
    silentMs += POLL_INTERVAL_MS;
    if (cursor === null || silentMs < SILENCE_MS) continue;
    silentMs = 0;
    await world.runs.get(runId).catch((error: unknown) => {
      if (isTransient(error)) return;
      throw new ConfigError(`The run ${runId} was removed while it was followed.`, { cause: error });
    });
  }
  for (;;) {
    const run = await world.runs.get(runId).catch(undefinedWhileAway);
    if (run) return run;
    await delay(POLL_INTERVAL_MS);
  }
}

/** The next events of a run, without the data of its steps. */
async function readEvents(world: World, runId: string, cursor: string | null): Promise<Event[]> {
  const pagination = { sortOrder: 'asc' as const, ...(cursor === null ? {} : { cursor }) };
  const { data } = await world.events.list({ runId, resolveData: 'none', pagination });
  return data;
}

/** Why the step failed: its row has it readable, the event only as the runtime packs it. */
async function withReason(world: World, runId: string, activity: Activity): Promise<Activity> {
  if (activity.state !== 'failed' && activity.state !== 'retrying') return activity;
  const step = await world.steps.get(runId, activity.id).catch(undefinedWhileAway);
  return { ...activity, ...(step?.error && { error: step.error.message }) };
}

function emptyWhileAway(error: unknown): never[] {
  if (isTransient(error)) return [];
  throw error;
}

function undefinedWhileAway(error: unknown): undefined {
  if (!isTransient(error)) throw error;
}
