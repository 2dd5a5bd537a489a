import type { Driver, Executor, Log, State } from './state.ts';

/** The same text for the same state; workers have no names in it. By hand, because most of the time is spent here. */
export function keyOf(state: State): string {
  const { jobs, workers, crashes, lapses, stops, truncates, starter, sender, sweeper } = state;
  const flags = bits([state.ended, state.failed, state.due, state.awaitsSteps, state.elapsed]) + bits(state.sent);
  const numbers = `${state.wakeSeq},${state.seenSeq},${crashes}${lapses}${stops}${truncates}`;
  const queue = jobs.map(({ key, state: at }) => key + at).join();
  const outside = `${starter},${sender},${sweeper}`;
  const inside = workers.map((it) => driverText(it.driver) + executorText(it.executor)).toSorted();
  return `${logText(state.log)};${flags};${numbers};${queue};${outside};${inside.join(';')}`;
}

function driverText(driver: Driver | undefined): string {
  if (!driver) return '';
  const { at, lease, aborted, seen, saw, ended, completed, created, queued, executing, news, wake } = driver;
  const flags = bits([lease.current, ended, completed, news, ...created, ...queued]);
  return `${at}${lease.job},${seen},${aborted}${wake}${flags}${logText(saw)}${executing.join()}`;
}

function executorText(executor: Executor | undefined): string {
  if (!executor) return '/';
  const { at, step, lease, aborted, wake } = executor;
  return `/${at}${step}${lease.job}${bits([lease.current])}${aborted}${wake}`;
}

function logText({ steps, hook, timer }: Log): string {
  return `${steps.join('')}${hook}${timer}`;
}

function bits(flags: readonly boolean[]): string {
  let text = '';
  for (const flag of flags) text += flag ? '1' : '0';
  return text;
}
