import { join } from 'node:path';
import type { TestDatabase } from '../support/database.ts';
import { PROJECT, startProgram, type Program } from '../support/program.ts';
import { until } from '../support/until.ts';

export interface Member {
  /** Its sessions in the database have this name. */
  name: string;
  program: Program;
}

/** The workers on one database. */
export interface Crew {
  /** Starts workers until there are so many. */
  fill(size: number): Promise<void>;
  /** The member that executed the run's first step: it holds the run. */
  driverOf(runId: string): Promise<Member>;
  /** It is dead, or about to be. */
  remove(member: Member): void;
  readonly size: number;
}

const PROCESS = join(PROJECT, 'tests/fixtures/process.ts');

export function createCrew({ url, query }: TestDatabase): Crew {
  const members = new Set<Member>();
  const killed: Member[] = [];
  let hired = 0;
  // One that was stopped by SIGSTOP hears nothing else, and would outlive a second Ctrl+C.
  process.once('exit', () => {
    for (const { program } of [...members, ...killed]) program.kill('SIGKILL');
  });

  const hire = async () => {
    hired += 1;
    const name = `worker-${hired}`;
    const env = { WORKFLOW_POSTGRES_URL: withParameter(url, 'application_name', name) };
    const member = { name, program: startProgram(PROCESS, ['worker'], { env }) };
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
  };
}

function withParameter(url: string, name: string, value: string): string {
  const changed = new URL(url);
  changed.searchParams.set(name, value);
  return changed.href;
}
