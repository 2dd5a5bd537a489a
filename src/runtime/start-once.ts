import { EntityConflictError, WorkflowRunNotFoundError } from '@workflow/errors';
import type { CreateEventParams, RunCreatedEventRequest, Storage, WorkflowRun, World } from '@workflow/world';
import type { Run } from 'workflow/api';
import { ConfigError } from '../config/config.ts';
import { problemOfStartKey, StartKeyTakenError, type StartKeyParams } from '../postgres/start-keys.ts';
import { describeUnstorable, findUnstorable } from '../values/unstorable.ts';
import currentWorld from './current-world.ts';

/** What `start()` takes: a compiled workflow function, or what stands for it in `RunningWorld.workflows`. */
export type Workflow<TArgs extends unknown[], TResult> =
  ((...args: TArgs) => Promise<TResult>) | { workflowId: string };

/** The run of a key. */
export type KeyedRun<TResult> = Run<TResult> & {
  /** Whether this call began it; false: an earlier one did, or one at the same moment. */
  isNew: boolean;
};

/** The key has started something else: `runId` says which run. */
export class StartKeyConflictError extends ConfigError {
  override name = 'StartKeyConflictError';
  readonly runId: string;

  constructor(message: string, runId: string) {
    super(message);
    this.runId = runId;
  }
}

/**
 * As `start()`, once for each key: every caller with the key, in whichever process, and also after
 * the run has ended or failed, gets the same run. After an error that leaves open whether the run
 * began (the database was away, the process died), call it again with the same key.
 *
 * A key belongs to the job prefix, until `prune` removes its run.
 * @param args the same for each call with the key, byte for byte once they are serialized; a stream never is
 * @param options.key up to 255 characters, without NUL
 * @throws ConfigError for a key that cannot be one, and arguments that cannot be stored
 * @throws StartKeyConflictError when the key has started another workflow, or this one with other arguments
 */
export async function startOnce<TArgs extends unknown[], TResult>(
  workflow: Workflow<TArgs, TResult>,
  args: TArgs,
  { key }: { key: string },
): Promise<KeyedRun<TResult>> {
  const problem = problemOfStartKey(key);
  if (problem) throw new ConfigError(`The start key ${problem}.`);
  const found = findUnstorable(args, 'arguments');
  if (found) throw new ConfigError(`The run cannot be started: ${describeUnstorable(found)}`);
  // Imported late: the runtime looks for the World when it is loaded.
  const { getRun, start } = await import('workflow/api');
  const world = createKeyedWorld(currentWorld(), key);
  try {
    return Object.assign(await start(workflow, args, { world }), { isNew: true });
  } catch (error) {
    if (!(error instanceof StartKeyTakenError)) throw error;
    return Object.assign(getRun<TResult>(error.runId), { isNew: false });
  }
}

/**
 * For one call of `start()`, which creates the run and sends its first message in parallel, so that
 * either suffices. Here the creation alone decides (it claims the key), and the message follows it.
 */
export function createKeyedWorld(world: World, key: string): World {
  let created: Promise<unknown> | undefined;

  async function create(runId: string, event: RunCreatedEventRequest, params?: CreateEventParams) {
    const keyed: CreateEventParams & StartKeyParams = { ...params, startKey: key };
    for (;;) {
      try {
        return await world.events.create(runId, event, keyed);
      } catch (error) {
        if (!(error instanceof StartKeyTakenError)) throw error;
        const holder = await world.runs.get(error.runId).catch(undefinedIfRemoved);
        // Pruned in this moment: the key is free.
        if (!holder) continue;
        assertSame(key, holder, event.eventData);
        throw error;
      }
    }
  }

  return {
    ...world,
    events: {
      ...world.events,
      // `start()` writes this event only.
      create: ((...args: Parameters<typeof create>) => (created = create(...args))) as Storage['events']['create'],
    },
    async queue(queueName, payload, options) {
      await created?.catch((error: unknown) => {
        // It was tried again, and had been committed the first time.
        if (!EntityConflictError.is(error)) throw error;
      });
      // Without the input, from which a message that comes after a prune would begin the run once more.
      return world.queue(queueName, 'runInput' in payload ? { ...payload, runInput: undefined } : payload, options);
    },
  };
}

/** Who gives a key to something else has made a mistake, and must not be given the result of the first in silence. */
function assertSame(key: string, holder: WorkflowRun, wanted: RunCreatedEventRequest['eventData']): void {
  const [was, is] = [holder.workflowName, wanted.workflowName].map((name) => name.split('//').at(-1));
  const belongs = `The start key ${JSON.stringify(key)} belongs to the run ${holder.runId} of ${was}`;
  if (holder.workflowName !== wanted.workflowName) {
    throw new StartKeyConflictError(`${belongs}, and cannot start ${is}.\n  Use another key.`, holder.runId);
  }
  if (!isSameData(holder.input, wanted.input)) {
    const remedy = 'Use another key, or the same arguments';
    throw new StartKeyConflictError(`${belongs}, which has other arguments.\n  ${remedy}.`, holder.runId);
  }
}

function undefinedIfRemoved(error: unknown): undefined {
  if (!WorkflowRunNotFoundError.is(error)) throw error;
}

function isSameData(first: unknown, second: unknown): boolean {
  return first instanceof Uint8Array && second instanceof Uint8Array && Buffer.compare(first, second) === 0;
}
