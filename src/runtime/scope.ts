import { AsyncLocalStorage } from 'node:async_hooks';
import type { EventResult, StepInvokePayload, ValidQueueName, WorkflowInvokePayload } from '@workflow/world';
import type { CallEnd } from '../postgres/model-calls.ts';
import type { StepStreams } from '../streams/step-streams.ts';
import type { RunLog } from './run-log.ts';

/** A job of ours: active, under this retry count. Everything that is written in its name is fenced by both. */
export interface Lease {
  queue: string;
  jobId: string;
  retryCount: number;
  /** Fires when the lease is lost or handed back; `reason` says which. */
  signal: AbortSignal;
}

export interface StepMessage {
  queueName: ValidQueueName;
  payload: StepInvokePayload;
}

/** A driver's replay of a run. The World writes down here what the driver needs to know of it. */
export interface ReplayScope {
  kind: 'replay';
  runId: string;
  lease: Lease;
  /** What the driver knows of the run; undefined: it reads everything anew. */
  log: RunLog | undefined;
  /** Whether this process has nothing else to do. */
  alone: boolean;
  /** Its run is not to be started if so many workers died of it. */
  deathsLimit?: number;
  /** Reserves room for new steps, at most `count`, that begin in this process as soon as they are created. */
  reserve(count: number): number;
  /** Gives back room for steps that were not created. */
  giveBack(count: number): void;
  /** Of the new steps, those that have begun: what their execution is to get for its `step_started`. */
  startedSteps: Map<string, EventResult>;
  /** Events that this replay wrote: its own, so they are no news to it. */
  ownEvents: number;
  /** Steps that came into being under this lease; they cannot be running anywhere else. */
  createdSteps: Set<string>;
  /** Steps that the runtime asked to execute. */
  requestedSteps: StepMessage[];
  /** The run is completed, failed or cancelled. */
  ended: boolean;
  /** This replay has completed it: nothing is left to be seen. */
  completed: boolean;
  /** The runtime asked for another replay, with this message. */
  again: WorkflowInvokePayload | undefined;
  /** Promises that were rejected, and that the workflow has not looked at, with their reasons. */
  unseen: Map<object, unknown>;
  /** Called with what was thrown where nobody could catch it: the replay may never come to its end. */
  broken(error: unknown): void;
}

/** One execution of one step. */
export interface StepScope {
  kind: 'step';
  runId: string;
  stepId: string;
  /** That of its function. */
  stepName: string;
  deploymentId: string;
  lease: Lease;
  /** Whether this process has nothing else to do. */
  alone: boolean;
  /** Of the run's driver, if that is who executes it. */
  log: RunLog | undefined;
  /** What `step_started` has returned, if the step began with its creation. */
  started: EventResult | undefined;
  /** Fires when the execution is not wanted any more: lease lost, shutdown, run ended, interrupted; and at its end. */
  signal: AbortSignal;
  /** Fires at its end alone. */
  over: AbortSignal;
  /**
   * Ends it as a death would: what it fails with from now on is no attempt, and is not recorded. For what
   * the World has given up in its name because the database is away.
   */
  interrupt(cause: unknown): void;
  /** What it was interrupted by. */
  interruptedBy?: unknown;
  /** Which execution of the step this is, interruptions included; from 1. */
  execution: number;
  /** Which attempt it is, without the interruptions; from 1. */
  attempt: number;
  /** When the first execution began: milliseconds since 1970, by the clock of the database. */
  beganAt: number;
  /** Called when its function has ended: all that is left is to record how. */
  ended(): void;
  hasEnded: boolean;
  /** Called with an error of it that nobody catches, also after its end. */
  leftBehind(kind: LeftBehind, error: unknown): void;
  /** Streams whose end is to be written with the step's result. */
  endingStreams: Set<string>;
  /** Those that it has opened by the runtime's means. */
  streams: StepStreams;
  /** Model calls that have ended, by their ids: to be written with the step's event. */
  endedCalls: Map<string, CallEnd>;
}

export type Scope = ReplayScope | StepScope;

export type LeftBehind = 'rejected' | 'thrown';

const scopes = new AsyncLocalStorage<Scope>();

export function runInScope<T>(scope: Scope, work: () => T): T {
  return scopes.run(scope, work);
}

/** For what outlives the run or the step that happened to need it first: its errors are this process's own. */
export function runOutsideOfScopes<T>(work: () => T): T {
  return scopes.exit(work);
}

/** What is being executed, or has left the promise, timer or socket behind of which this is the callback. */
export function currentScope(): Scope | undefined {
  return scopes.getStore();
}

/** What is being executed for the run `runId`, or undefined if the caller is something else. */
export function scopeOf(runId: string): Scope | undefined {
  const scope = scopes.getStore();
  return scope?.runId === runId ? scope : undefined;
}

export function isReplaying(): boolean {
  return scopes.getStore()?.kind === 'replay';
}

/** The step that is being executed, of whichever run. */
export function stepInScope(): StepScope | undefined {
  const scope = scopes.getStore();
  return scope?.kind === 'step' ? scope : undefined;
}

/** @throws Error outside of a step that a worker of this project executes */
export function currentStep(): StepScope {
  const step = stepInScope();
  if (!step) throw new Error('This works only inside a step that a worker executes.');
  return step;
}

/** The job is not ours any more: somebody else goes on with it. */
export class LeaseLostError extends Error {
  override name = 'LeaseLostError';
}

/** A job that nobody can carry out, however often it is delivered; the message says why. */
export class GarbageError extends Error {
  override name = 'GarbageError';
}

/** Workers died of the run: it must be driven, and its steps executed, in a process that has nothing else to do. */
export class MustRunAloneError extends Error {
  override name = 'MustRunAloneError';

  constructor(runId: string) {
    super(`${runId} must run alone: workers died of it`);
  }
}
