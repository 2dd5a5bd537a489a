import { Console } from 'node:console';
import { approvalCommands } from '../approval/approval.ts';
import type { FollowedRun } from './follow-run.ts';
import { alignPairs, describeResult, describeUsage, formatDuration } from './format.ts';

/** Text for people, and a document for programs. */
export interface Answer {
  text: string;
  document: unknown;
}

export interface Output {
  /** For the log: stderr. */
  note(line: string): void;
  /** What a run is doing; nothing where nobody is watching. */
  progress(line: string): void;
  /** A line that replaces itself, until `undefined`; only on a terminal. */
  countdown(text: string | undefined): void;
  /** A piece of the report as it is written; nothing with --json. */
  stream(text: string): void;
  /** One of many documents, on a line of its own; nothing without --json. */
  line(document: unknown): void;
  /** The result of the program: text, or a document with --json. */
  result(answer: Answer): void;
}

/**
 * A model, or a text that it repeats, must not command the terminal: move its cursor, set its title, fill
 * its clipboard. Escape sequences begin with a control character.
 */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]|\r(?!\n)/g, '\ufffd');
}

const CLEAR_LINE = '\r\x1b[K';

/** With `json`, stdout is JSON and nothing else, whatever the libraries log. */
export function createOutput(json: boolean): Output {
  // Notes, warnings of libraries and stray console.log calls: all of that is log.
  globalThis.console = new Console(process.stderr, process.stderr);
  const { stdout, stderr } = process;
  let counting = false;
  let midLine = false;

  /** The log and the report share a terminal: each begins on a line of its own. */
  const freshLine = () => {
    if (counting) stderr.write(CLEAR_LINE);
    counting = false;
    if (midLine && stdout.isTTY) stdout.write('\n');
    midLine = false;
  };
  const note = (line: string) => {
    freshLine();
    stderr.write(`${printable(line)}\n`);
  };
  return {
    note,
    progress: (line) => stderr.isTTY && note(`  ${line}`),
    countdown(text) {
      if (!stderr.isTTY || midLine || (text === undefined && !counting)) return;
      stderr.write(text === undefined ? CLEAR_LINE : `${CLEAR_LINE}  ${text}`);
      counting = text !== undefined;
    },
    stream(text) {
      if (json) return;
      if (!midLine) freshLine();
      stdout.write(printable(text));
      midLine = !text.endsWith('\n');
    },
    line(document) {
      if (json) stdout.write(`${JSON.stringify(document)}\n`);
    },
    result({ text, document }) {
      freshLine();
      stdout.write(`${json ? JSON.stringify(document, undefined, 2) : printable(text)}\n`);
    },
  };
}

/** What is shown of runs at their end. */
export function describeRuns(runs: readonly FollowedRun[]): string {
  return runs.map(describe).join('\n');
}

function describe({ waitsFor, ...run }: FollowedRun): string {
  const { runId, workflow, status, durationMs, model, usage, result, error } = run;
  const mark = status === 'completed' ? '✓' : '✗';
  const head = waitsFor
    ? `\n⏸ ${workflow} waits for ${waitsFor}`
    : `\n${mark} ${workflow} ${status} in ${formatDuration(durationMs)}`;
  const lines = error ? [`  ${error.replaceAll('\n', '\n  ')}`] : describeResult(result ?? {}, SHOWN_ALREADY);
  const facts = alignPairs([['run', runId], ...describeUsage(usage, model)]);
  const look = ['status -- ', 'web -- ', 'inspect -- run '].map((it) => `    npm run postgres-world:${it}${runId}`);
  const { yes, no } = approvalCommands(runId);
  const ask = waitsFor ? ['', '  Answer it, once, from anywhere:', `    ${yes}`, `    ${no}`] : [];
  return [head, ...lines, ...facts, ...ask, '', '  Look at it:', ...look].join('\n');
}

/** The text that the user gave, the report that was streamed, and what the lines below say. */
const SHOWN_ALREADY = new Set(['content', 'report', 'workflowId', 'model']);
