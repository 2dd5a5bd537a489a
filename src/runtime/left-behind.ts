import { currentScope, type ReplayScope } from './scope.ts';

/** Which replay had a promise rejected that nobody looked at; undefined for one of a step. */
const rejected = new WeakMap<object, ReplayScope | undefined>();

/** Whoever executes runs in this process. */
let holders = 0;
let stopCatching: (() => void) | undefined;

/**
 * Until it is disposed, an error that nobody catches does not end this process if a run or a step has left it
 * behind: it is told to their scope. Node calls back in the asynchronous context of the promise, timer or socket.
 *
 * What belongs to no scope takes its usual way: to the application's own handlers, else the process ends with
 * exit code 1. They do not hear of ours, which is why this is no listener beside theirs: they may end the process,
 * and a promise that is looked at later is no mistake.
 */
export function catchLeftBehind(): Disposable {
  holders += 1;
  if (holders === 1) stopCatching = intercept();
  let held = true;
  return {
    [Symbol.dispose]() {
      if (held) holders -= 1;
      held = false;
      if (holders === 0) stopCatching?.();
    },
  };
}

/** Node asks `process.emit` whether anybody has seen to it. */
function intercept(): () => void {
  const { emit } = process;
  const intercepting = function (this: NodeJS.Process, event: string, ...args: unknown[]): boolean {
    // Somebody may have put theirs around this one, which then stays.
    if (holders > 0 && isLeftBehind(event, args)) return true;
    return Reflect.apply(emit, this, [event, ...args]) as boolean;
  } as NodeJS.Process['emit'];
  process.emit = intercepting;
  return () => {
    if (process.emit === intercepting) process.emit = emit;
  };
}

function isLeftBehind(event: string, [subject, promise]: unknown[]): boolean {
  if (event === 'rejectionHandled') {
    if (!rejected.has(subject as object)) return false;
    rejected.get(subject as object)?.unseen.delete(subject as object);
    return true;
  }
  if (event !== 'unhandledRejection' && event !== 'uncaughtException') return false;
  const scope = currentScope();
  if (!scope) return false;
  if (event === 'uncaughtException') {
    if (scope.kind === 'step') scope.leftBehind('thrown', subject);
    else scope.broken(subject);
    return true;
  }
  rejected.set(promise as object, scope.kind === 'replay' ? scope : undefined);
  if (scope.kind === 'step') scope.leftBehind('rejected', subject);
  else scope.unseen.set(promise as object, subject);
  return true;
}
