import { inspect, types } from 'node:util';
import type { Event } from '@workflow/world';
import type { LeftBehind, ReplayScope, StepScope } from '../runtime/scope.ts';

/** Tells the operator of errors that nobody has caught, and whose they are. */
export interface LeftBehindReport extends Disposable {
  /** A step has left it behind, or is about to. */
  ofStep(step: Pick<StepScope, 'runId' | 'stepId' | 'stepName'>, kind: LeftBehind, error: unknown): void;
  /** What a workflow has not looked at, at the end of its run or when that waits for something else. */
  ofReplay(replay: Pick<ReplayScope, 'runId' | 'log' | 'unseen' | 'ended'>, workflow: string): void;
}

/** A step can make thousands in a second, and a run that loops makes the same at each turn. */
const QUIET_MS = 60_000;

const LONGEST_REASON = 500;

const KINDS: Record<LeftBehind, string> = {
  rejected: 'left a promise to itself, which was rejected',
  thrown: 'threw where nobody could catch it',
};

/** What is said of a run and a step is said once in a minute; more of it is counted. */
export function createLeftBehindReport(log: (line: string) => void): LeftBehindReport {
  const said = new Map<string, { more: number; timer: NodeJS.Timeout }>();

  const sayHowMany = (subject: string) => {
    const { more = 0, timer } = said.get(subject) ?? {};
    said.delete(subject);
    clearTimeout(timer);
    if (more > 0) log(`${subject}: ${more} more of that`);
  };

  const say = (subject: string, error: unknown) => {
    const before = said.get(subject);
    if (before) {
      before.more += 1;
      return;
    }
    said.set(subject, { more: 0, timer: setTimeout(() => sayHowMany(subject), QUIET_MS).unref() });
    log(`${subject}: ${describe(error)}`);
  };

  return {
    ofStep({ runId, stepId, stepName }, kind, error) {
      say(`Run ${runId}: step ${stepName} (${stepId}) ${KINDS[kind]}`, error);
    },
    ofReplay({ runId, log: runLog, unseen, ended }, workflow) {
      for (const error of unseen.values()) {
        const step = failedStep(runLog?.events ?? [], error);
        const what = step ? `the failure of its step ${step}` : 'a promise that was rejected';
        say(`Run ${runId}: ${workflow} has not ${ended ? '' : 'yet '}looked at ${what}`, error);
      }
    },
    [Symbol.dispose]() {
      for (const subject of said.keys()) sayHowMany(subject);
    },
  };
}

/** Of whose failure the runtime has made this error: it has its stack. */
function failedStep(events: readonly Event[], error: unknown): string | undefined {
  if (!types.isNativeError(error)) return undefined;
  const failed = events.find((event) => event.eventType === 'step_failed' && event.eventData.stack === error.stack);
  if (failed?.eventType !== 'step_failed') return undefined;
  return `${failed.eventData.stepName?.split('//').at(-1)} (${failed.correlationId})`;
}

/** In one line. The value comes from others: to show it may throw, and a workflow's errors are of another realm. */
function describe(error: unknown): string {
  try {
    const text = types.isNativeError(error)
      ? `${error.name}: ${error.message}`.slice(0, LONGEST_REASON) + originOf(error)
      : inspect(error, { depth: 1, customInspect: false }).slice(0, LONGEST_REASON);
    return text.replace(/\s+/g, ' ');
  } catch {
    return 'a value that cannot be shown';
  }
}

function originOf({ stack = '' }: Error): string {
  const begin = stack.indexOf('\n    at ');
  return begin < 0 ? '' : ` (${stack.slice(begin).split('\n', 2)[1]!.trim()})`;
}
