import type { Output } from './output.ts';
import { formatDuration, formatSpan } from './format.ts';
import type { Activity } from './timeline.ts';

const COUNTDOWN_INTERVAL_MS = 1_000;

export interface Progress extends Disposable {
  /** Shows what has changed. */
  show(activity: Activity): void;
}

/**
 * A line for each step that starts, is retried or ends, and a countdown while the run waits.
 * @param now the clock that the times of the activities come from
 */
export function createProgress(output: Pick<Output, 'progress' | 'countdown'>, now: () => number): Progress {
  const waiting = new Map<string, Date>();
  const countDown = () => {
    const next = [...waiting.values()].toSorted((a, b) => a.getTime() - b.getTime())[0];
    output.countdown(
      next && `⏸ waiting: ${formatDuration(Math.max(1, Math.ceil((next.getTime() - now()) / 1_000)) * 1_000)} left`,
    );
  };
  const timer = setInterval(countDown, COUNTDOWN_INTERVAL_MS);
  return {
    show(activity) {
      const line = describe(activity);
      if (line) output.progress(line);
      if (activity.kind === 'wait' && activity.state === 'waiting' && activity.dueAt)
        waiting.set(activity.id, activity.dueAt);
      else waiting.delete(activity.id);
      countDown();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      output.countdown(undefined);
    },
  };
}

function describe({ kind, name, state, executions, createdAt, startedAt, endedAt, dueAt, error }: Activity): string {
  const took = endedAt ? formatSpan(startedAt ?? createdAt, endedAt) : '';
  if (kind === 'hook') return state === 'waiting' ? `⏸ waiting for hook ${name}` : `✓ hook ${name} is done`;
  if (kind === 'approval') return state === 'waiting' ? '⏸ waits for approval' : `✓ answered after ${took}`;
  if (kind === 'wait') {
    return state === 'waiting' ? `⏸ waiting for ${formatSpan(createdAt, dueAt ?? createdAt)}` : `✓ waited for ${took}`;
  }
  const reason = error ? `: ${error.split('\n')[0]}` : '';
  switch (state) {
    case 'running':
      return executions === 1 ? `→ ${name}` : `→ ${name}, execution ${executions}`;
    case 'retrying':
      return `↻ ${name} failed after ${took}, again in ${formatSpan(endedAt!, dueAt ?? endedAt!)}${reason}`;
    case 'failed':
      return `✗ ${name} failed after ${took}${reason}`;
    case 'completed':
      return `✓ ${name} ${took}`;
    default:
      return '';
  }
}
