import { onTestFinished } from 'vitest';

let owner: AsyncDisposableStack | undefined;

/** For commands, which use what the tests use, without vitest: from now on, all that is started ends with this stack. */
export function endWith(stack: AsyncDisposableStack): void {
  owner = stack;
}

/** Cleans up after the test, or with the stack of a command. Last come, first served. */
export function onEnd(cleanUp: (outcome: { failed: boolean }) => unknown): void {
  if (owner) owner.defer(async () => void (await cleanUp({ failed: false })));
  else onTestFinished(async ({ task }) => void (await cleanUp({ failed: task.result?.state === 'fail' })));
}
