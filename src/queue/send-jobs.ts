import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { PgBoss } from 'pg-boss';
import { createBatches } from '../postgres/batches.ts';
import { preparedOn } from './boss.ts';
import { runIdOf, type JobData } from './messages.ts';

/** A job to be; `key`: the id of its run or step. */
export interface Message {
  key: string;
  data: JobData;
}

export interface Sender {
  /** Sends with whatever else is sent at the moment; false if there is an open job of that key, or no such queue. */
  send(queue: string, message: Message): Promise<boolean>;
  /** Sends those that have no open job, in a transaction. */
  sendIn(client: PoolClient, queue: string, messages: readonly Message[], delaySeconds?: number): Promise<void>;
}

export function createSender(boss: PgBoss, pool: Pool): Sender {
  const jobOf = ({ key, data }: Message, delaySeconds = 0) => ({
    id: randomUUID(),
    data,
    singletonKey: key,
    startAfter: delaySeconds,
    // pg-boss has an index of the active jobs that are in a group, which the sweep reads.
    group: { id: runIdOf(data) ?? key },
  });
  // An insert waits for whoever is inserting the same key: in one order, so that two cannot wait for each other.
  const insert = (db: Pool | PoolClient, queue: string, jobs: readonly ReturnType<typeof jobOf>[]) => {
    const inOrder = jobs.toSorted((one, other) => (one.singletonKey < other.singletonKey ? -1 : 1));
    return boss.insert(queue, inOrder, { db: preparedOn(db), returnId: true });
  };

  const together = createBatches(
    async (sent: { queue: string; message: Message; bytes: number }[]) => {
      const jobs = sent.map(({ message }) => jobOf(message));
      const inserted = new Set(await insert(pool, sent[0]!.queue, jobs));
      return jobs.map(({ id }) => inserted.has(id));
    },
    { sizeOf: ({ bytes }) => bytes, patienceMs: 1_000 },
  );

  return {
    send: (queue, message) => together(queue, { queue, message, bytes: JSON.stringify(message.data).length }),
    async sendIn(client, queue, messages, delaySeconds) {
      await insert(
        client,
        queue,
        messages.map((message) => jobOf(message, delaySeconds)),
      );
    },
  };
}
