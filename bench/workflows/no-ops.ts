/** Workflows whose steps do nothing: what is left is the engine. */
import { createHook, getStepMetadata, getWorkflowMetadata } from 'workflow';
import { noteBody, noteStep } from '../workers/counters.ts';

export async function sequentialWorkflow(count: number) {
  'use workflow';
  noteBody();
  for (let n = 0; n < count; n += 1) await noOp(n);
}

export async function parallelWorkflow(count: number) {
  'use workflow';
  noteBody();
  await Promise.all(Array.from({ length: count }, (_, n) => noOp(n)));
}

export async function fanOutWorkflow() {
  'use workflow';
  noteBody();
  await Promise.all([noOp(1), noOp(2), noOp(3)]);
  await noOp(4);
}

/** A step, and then it waits for an answer that nobody gives. */
export async function parkedWorkflow() {
  'use workflow';
  noteBody();
  await noOp(1);
  await createHook({ token: `bench:${getWorkflowMetadata().workflowRunId}` });
}

async function noOp(n: number) {
  'use step';
  noteStep(getStepMetadata().stepId);
  return n;
}
