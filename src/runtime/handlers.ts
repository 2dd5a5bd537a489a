import type { Queue, QueueKind, QueuePrefix, ValidQueueName } from '@workflow/world';
import { getQueuePrefixKind, MessageId } from '@workflow/world';

type Handler = Parameters<Queue['createQueueHandler']>[1];

/** Seconds after which the runtime wants the message again; undefined: it is done with it. */
export type Redelivery = number | undefined;

/**
 * The handlers that the compiled bundles register when they are loaded. The runtime may create the
 * World more than once, and tsx may load this module twice; there is one set per process.
 */
const HANDLERS = Symbol.for('postgres-world/handlers');
const registry = globalThis as typeof globalThis & { [HANDLERS]?: Partial<Record<QueueKind, Handler>> };

/** The World's part of the contract: bundles hand their handler in, and get an HTTP route for it. */
export function createQueueHandler(prefix: QueuePrefix, handler: Handler): (request: Request) => Promise<Response> {
  (registry[HANDLERS] ??= {})[getQueuePrefixKind(prefix)] = handler;
  // Work comes out of the database only. A route that takes messages from anybody who reaches its
  // port would let them forge steps (vercel/workflow #3908).
  return async () => new Response('This World delivers no work over HTTP.', { status: 403 });
}

/** This process is not one that executes it. */
export class NotLoadedError extends Error {
  override name = 'NotLoadedError';
}

/**
 * Delivers a message of the queue to the bundle that it is for.
 * @param attempt how often it was delivered, from 1
 * @throws what the handler throws: see `mayPass`
 */
export async function deliver(
  kind: QueueKind,
  queueName: ValidQueueName,
  payload: unknown,
  { attempt, id }: { attempt: number; id: string },
): Promise<Redelivery> {
  const handler = registry[HANDLERS]?.[kind];
  if (!handler) throw new NotLoadedError(`Cannot deliver ${queueName}: the ${kind} bundle is not loaded`);
  const redelivery = await handler(payload, { attempt, queueName, messageId: MessageId.parse(`msg_${id}`) });
  return redelivery?.timeoutSeconds;
}
