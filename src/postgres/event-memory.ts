import { RunExpiredError } from '@workflow/errors';
import type { AnyEventRequest, EventResult } from '@workflow/world';
import type { Scope, StepScope } from '../runtime/scope.ts';
import { wakes } from './write-stock.ts';

/** What needs no statement: the log that the driver keeps, and the beginning of a step that began with its creation. */
export function answerFromMemory(scope: Scope | undefined, { eventType }: AnyEventRequest): EventResult | undefined {
  if (eventType === 'step_started' && scope?.kind === 'step' && scope.started) {
    const { started } = scope;
    scope.started = undefined;
    scope.execution = 1;
    noteStart(scope, started);
    return started;
  }
  if (eventType !== 'run_started' || scope?.kind !== 'replay' || !scope.log?.run) return undefined;
  const { run, events, ended } = scope.log;
  scope.ended ||= ended;
  if (ended) throw new RunExpiredError(`run_started refused: ${run.runId} has ended`);
  return { run, events: [...events], hasMore: false, cursor: events.at(-1)?.eventId ?? null };
}

/** The status of a run decides, also where somebody has set it without an event: then the log does not tell. */
export function noteEnd(scope: Scope | undefined): void {
  if (scope?.kind === 'replay') scope.ended = true;
  scope?.log?.forget();
}

/** What the scope of a replay, or of a step's execution, keeps of an event that was written in its name. */
export function noteInScope(scope: Scope | undefined, event: AnyEventRequest, result: EventResult): void {
  if (scope?.kind === 'step' && event.eventType === 'step_started') noteStart(scope, result);
  if (scope?.kind !== 'replay') return;
  if (wakes(event, result)) scope.ownEvents += 1;
  if (event.eventType === 'step_created') scope.createdSteps.add(event.correlationId);
  scope.completed ||= event.eventType === 'run_completed';
  scope.ended ||= scope.completed || event.eventType === 'run_failed';
}

function noteStart(scope: StepScope, { step }: EventResult): void {
  scope.attempt = step?.attempt ?? 0;
  scope.beganAt = step?.startedAt?.getTime() ?? 0;
}
