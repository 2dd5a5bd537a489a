import { join } from 'node:path';

/** What the worlds of the Workflow DevKit compile. */
export const workflowFiles = [join(import.meta.dirname, 'no-ops.ts')];
