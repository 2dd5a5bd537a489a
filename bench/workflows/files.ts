import { join } from 'node:path';

/** What the worlds of the Workflow DevKit compile: one file, so that each workload carries its own only. */
export const workflowFile = join(import.meta.dirname, process.env.BENCH_WORKFLOWS ?? 'no-ops.ts');
