import type { Client } from 'pg';
import { CAN_COUNT_CPU, cpuOf, cpuOfServer } from './processes.ts';

/** What was used from one moment to another. */
export interface Usage {
  cpuWorkerMs?: number;
  cpuServerMs?: number;
  /** Transaction ids: transactions that wrote. */
  transactions: number;
  walBytes: number;
}

interface Observed {
  client: Client;
  postmaster: number;
  workers: readonly number[];
  /** Backends of the benchmark itself. */
  without: readonly number[];
}

/** Begins to count; the answer ends it. */
export async function countUsage(observed: Observed): Promise<() => Promise<Usage>> {
  const before = await look(observed);
  return async () => {
    const after = await look(observed);
    return {
      transactions: after.transactions - before.transactions,
      walBytes: after.walBytes - before.walBytes,
      ...(CAN_COUNT_CPU && {
        cpuWorkerMs: after.cpuWorkerMs - before.cpuWorkerMs,
        cpuServerMs: after.cpuServerMs - before.cpuServerMs,
      }),
    };
  };
}

async function look({ client, postmaster, workers, without }: Observed) {
  const { rows } = await client.query<{ transactions: string; walBytes: string }>(
    `SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS transactions,
            pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS "walBytes"`,
  );
  const [cpuWorkerMs, cpuServerMs] = CAN_COUNT_CPU
    ? await Promise.all([cpuOf(workers), cpuOfServer(postmaster, without)])
    : [0, 0];
  return {
    transactions: Number(rows[0]!.transactions),
    walBytes: Number(rows[0]!.walBytes),
    cpuWorkerMs,
    cpuServerMs,
  };
}

/** How often the server has flushed its WAL. Exact once the backends have ended: until then each counts for itself. */
export async function countFsyncs(client: Client): Promise<number> {
  const { rows } = await client.query<{ fsyncs: string }>(
    `SELECT sum(fsyncs) AS fsyncs FROM pg_stat_io WHERE object = 'wal'`,
  );
  return Number(rows[0]!.fsyncs);
}
