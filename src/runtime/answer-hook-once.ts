import { inspect } from 'node:util';
import { HookNotFoundError } from '@workflow/errors';
import { SPEC_VERSION_CURRENT, type CreateEventParams, type World } from '@workflow/world';
import { ConfigError } from '../config/config.ts';
import { AnsweredBeforeError, type HookAnswerParams } from '../postgres/hook-answers.ts';
import { describeUnstorable, findUnstorable } from '../values/unstorable.ts';
import currentWorld from './current-world.ts';

/** What came first to a hook. */
export interface HookAnswer {
  payload: unknown;
  /** By the clock of the database. */
  answeredAt: Date;
}

/** Somebody else was first: `answer` says with what, and when. */
export class HookAnsweredError extends ConfigError {
  override name = 'HookAnsweredError';
  readonly runId: string;
  readonly answer: HookAnswer;

  constructor(token: string, runId: string, answer: HookAnswer) {
    const [at, payload] = [answer.answeredAt.toISOString(), inspect(answer.payload)];
    super(`The hook "${token}" of ${runId} was answered at ${at}: ${payload}`);
    this.runId = runId;
    this.answer = answer;
  }
}

/**
 * As `resumeHook()`, for a hook that takes one payload: of all who answer it, in whichever processes,
 * one does. (`resumeHook()` records each payload that comes before the workflow has gone on.) The run
 * goes on, whatever becomes of the caller after that.
 *
 * After an error that leaves open whether it was answered (the database was away, the process died),
 * call it again: {@link HookAnsweredError} has the answer that counts.
 * @param payload what a step could return, without streams
 * @throws HookAnsweredError when it has its answer, and its run has not ended yet
 * @throws ConfigError when no run waits on such a hook, or the payload cannot be stored
 */
export async function answerHookOnce(token: string, payload: unknown): Promise<{ runId: string }> {
  const found = findUnstorable(payload, 'payload');
  if (found) throw new ConfigError(`The hook "${token}" cannot be answered: ${describeUnstorable(found)}`);
  const world = currentWorld();
  // Not by `resumeHook()`: it finds its World by itself, and gives it no parameter of ours.
  const { dehydrateStepReturnValue } = await import('@workflow/core/serialization');
  const { runId, hookId } = await world.hooks.getByToken(token).catch(explainMissing);
  const eventData = { token, payload: await dehydrateStepReturnValue(payload, runId, undefined) };
  const params: CreateEventParams & HookAnswerParams = { onlyAnswer: new Set() };
  try {
    const event = { eventType: 'hook_received', specVersion: SPEC_VERSION_CURRENT, correlationId: hookId } as const;
    await world.events.create(runId, { ...event, eventData }, params);
  } catch (error) {
    if (!(error instanceof AnsweredBeforeError)) return explainMissing(error);
    const answer = await readHookAnswer(world, runId, hookId);
    throw answer ? new HookAnsweredError(token, runId, answer) : new ConfigError(`${runId} was removed.`);
  }
  return { runId };

  function explainMissing(error: unknown): never {
    if (!HookNotFoundError.is(error)) throw error;
    throw new ConfigError(`No run waits on the hook "${token}": not yet, or not any more.`, { cause: error });
  }
}

/** The first answer in the log, also when the hook itself is gone. */
export async function readHookAnswer(
  { events }: World,
  runId: string,
  hookId: string,
): Promise<HookAnswer | undefined> {
  const { hydrateStepReturnValue } = await import('@workflow/core/serialization');
  const { data } = await events.listByCorrelationId({ runId, correlationId: hookId, pagination: { sortOrder: 'asc' } });
  const answer = data.find(({ eventType }) => eventType === 'hook_received');
  if (answer?.eventType !== 'hook_received') return undefined;
  const { createdAt, eventData } = answer;
  return { payload: await hydrateStepReturnValue(eventData.payload, runId, undefined), answeredAt: createdAt };
}
