import { join } from 'node:path';
import type { TestDatabase } from '../support/database.ts';
import { PROJECT, startProgram, type Program } from '../support/program.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';

export interface Member {
  /** Its sessions in the database have this name. */
  name: string;
  program: Program;
  /** Between it and the database, if it was started with one. */
  network: Proxy | undefined;
}

/** The workers on one database. */
export interface Crew {
  /** Starts workers until there are so many. */
  fill(size: number): Promise<void>;
  /** The member that executed the run's first step: it holds the run. */
  driverOf(runId: string): Promise<Member>;
  /** It is dead, or about to be. */
  remove(member: Member): void;
  /** Ends all. */
  dismiss(): Promise<void>;
  readonly size: number;
}

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');

/** @param network whether that of each member can be cut */
export function createCrew({ url, query }: TestDatabase, network: boolean): Crew {
  const members = new Set<Member>();
  const killed: Member[] = [];
  let hired = 0;
  // One that was stopped by SIGSTOP hears nothing else, and would outlive a second Ctrl+C.
  process.once('exit', () => {
    for (const { program } of [...members, ...killed]) program.kill('SIGKILL');
  });

  const hire = async () => {
    hired += 1;
    const name = `${network ? 'distant' : 'near'}-worker-${hired}`;
    const own = withParameter(url, 'application_name', name);
    const proxy = network ? await startProxy(own) : undefined;
    const env = { WORKFLOW_POSTGRES_URL: proxy?.url ?? own };
    const member = { name, network: proxy, program: startProgram(PROCESS, ['worker'], { env }) };
    members.add(member);
    await member.program.says('"ready":true');
  };

  return {
    get size() {
      return members.size;
    },
    async fill(size) {
      await Promise.all(Array.from({ length: Math.max(0, size - members.size) }, hire));
    },
    driverOf: (runId) =>
      until(`somebody executes a step of ${runId}`, async () => {
        const [first] = await query<{ pid: number }>(
          'SELECT pid FROM executions WHERE run_id = $1 ORDER BY at LIMIT 1',
          [runId],
        );
        return [...members].find(({ program }) => program.pid === first?.pid);
      }),
    remove(member) {
      members.delete(member);
      killed.push(member);
    },
    async dismiss() {
      for (const { program } of members) program.kill('SIGTERM');
      await Promise.all([...members].map(({ program }) => program.exited));
      members.clear();
    },
  };
}

function withParameter(url: string, name: string, value: string): string {
  const changed = new URL(url);
  changed.searchParams.set(name, value);
  return changed.href;
}
