import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startWorker } from '../setting/worker-process.ts';
import { workerFile, type System } from './system.ts';

const BENCH = join(import.meta.dirname, '..');

const common = {
  install: installPeers,
  /** By the first process that starts. */
  async setUp(url: string) {
    const env = { WORKFLOW_POSTGRES_URL: url };
    const worker = await startWorker({ module: workerFile('dbos'), env, onSteps() {}, onDeath() {} });
    await worker.stop();
  },
  worker: workerFile('dbos'),
  statuses: `
    SELECT status, count(*)::integer AS runs FROM dbos.workflow_status WHERE workflow_uuid = ANY ($1) GROUP BY 1`,
  completed: 'SUCCESS',
} satisfies Partial<System>;

/** DBOS, its workflows started in the process that runs them. */
export const dbos: System = { ...common, name: 'dbos', title: 'DBOS, direct' };

/** DBOS, its workflows put into its queue. */
export const dbosQueue: System = {
  ...common,
  name: 'dbos-queue',
  title: 'DBOS, through its queue',
  env: { BENCH_QUEUE: 'bench' },
};

/** What bench/package-lock.json names, unless it is there. */
async function installPeers(): Promise<void> {
  const [wanted, installed] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map(versionIn),
  );
  if (installed === wanted) return;
  try {
    await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: BENCH });
  } catch (error) {
    const [reason] = /^npm error .+$/m.exec((error as { stderr?: string }).stderr ?? '') ?? [(error as Error).message];
    throw new Error(`npm ci in bench/ failed: ${reason}`, { cause: error });
  }
}

async function versionIn(lockFile: string): Promise<string | undefined> {
  const text = await readFile(join(BENCH, lockFile), 'utf8').catch(() => '{}');
  const { packages } = JSON.parse(text) as { packages?: Record<string, { version?: string }> };
  return packages?.['node_modules/@dbos-inc/dbos-sdk']?.version;
}
