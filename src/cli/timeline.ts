import type { Event } from '@workflow/world';
import { APPROVAL_PREFIX } from '../approval/approval.ts';

/** Something that a run does or waits for, as its event log tells it. */
export interface Activity {
  kind: 'step' | 'wait' | 'hook' | 'approval';
  /** The event log's correlation id. */
  id: string;
  /** The step's function, or the hook's token. */
  name: string;
  /** Cut off: the run has ended before. */
  state: 'queued' | 'running' | 'retrying' | 'waiting' | 'completed' | 'failed' | 'cut off';
  /** How often the step was begun, interruptions included. */
  executions: number;
  createdAt: Date;
  /** When its last execution began. */
  startedAt?: Date;
  endedAt?: Date;
  /** When the wait is over, or the step is tried again. */
  dueAt?: Date;
  /** Why the step's last execution failed. */
  error?: string;
}

export interface Timeline {
  activities: Activity[];
  /** Whether the run has ended. */
  ended: boolean;
  /** Takes the next event of the log; returns the activity that it changed. */
  add(event: Event): Activity | undefined;
}

export function createTimeline(): Timeline {
  const byId = new Map<string, Activity>();
  const timeline: Timeline = {
    ended: false,
    get activities() {
      return [...byId.values()];
    },
    add(event) {
      if (/^run_(completed|failed|cancelled)$/.test(event.eventType)) {
        timeline.ended = true;
        for (const activity of byId.values()) cutOff(activity, event.createdAt);
      }
      if (event.correlationId === undefined) return undefined;
      const created = begin(event);
      if (created) byId.set(created.id, created);
      const activity = byId.get(event.correlationId);
      if (activity && !created) change(activity, event);
      return activity;
    },
  };
  return timeline;
}

function cutOff(activity: Activity, endedAt: Date): void {
  if (activity.state !== 'completed' && activity.state !== 'failed')
    Object.assign(activity, { state: 'cut off', endedAt });
}

function begin({ createdAt, ...event }: Event): Activity | undefined {
  const common = { id: event.correlationId ?? '', executions: 0, createdAt };
  switch (event.eventType) {
    case 'step_created':
      return { ...common, kind: 'step', name: shortName(event.eventData.stepName), state: 'queued' };
    case 'wait_created':
      return { ...common, kind: 'wait', name: 'wait', state: 'waiting', dueAt: new Date(event.eventData.resumeAt) };
    case 'hook_created':
      return { ...common, ...describeHook(event.eventData.token), state: 'waiting' };
    default:
      return undefined;
  }
}

function describeHook(token: string): Pick<Activity, 'kind' | 'name'> {
  if (token.startsWith(APPROVAL_PREFIX)) return { kind: 'approval', name: 'approval' };
  return { kind: 'hook', name: token };
}

function change(activity: Activity, { createdAt, ...event }: Event): void {
  switch (event.eventType) {
    case 'step_started':
      Object.assign(activity, { state: 'running', executions: activity.executions + 1, startedAt: createdAt });
      return;
    case 'step_retrying':
      Object.assign(activity, { state: 'retrying', endedAt: createdAt, dueAt: event.eventData.retryAfter });
      return;
    case 'step_failed':
      Object.assign(activity, { state: 'failed', endedAt: createdAt });
      return;
    case 'hook_received':
      // Others may take more than one.
      if (activity.kind === 'approval') Object.assign(activity, { state: 'completed', endedAt: createdAt });
      return;
    case 'step_completed':
    case 'wait_completed':
    case 'hook_disposed':
      Object.assign(activity, { state: 'completed', endedAt: createdAt });
      return;
    default:
  }
}

/** `step//./workflow-example.ts//extractTopics` → `extractTopics` */
export function shortName(name: string): string {
  return name.split('//').at(-1) ?? name;
}

/** The file of a workflow, without its ending, which is not in the name. */
export function fileOf(name: string): string {
  return (name.split('//').at(-2) ?? '').replace(/^\.\//, '');
}
