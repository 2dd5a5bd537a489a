import { Console } from 'node:console';
import type { FinishedRun } from './follow-run.ts';

export interface Output {
  /** For the log: stderr. */
  note(line: string): void;
  /** A piece of the report as it is written; nothing with --json. */
  stream(text: string): void;
  /** The end of it all. */
  results(runs: readonly FinishedRun[]): void;
}

/** With `json`, stdout is one JSON document and nothing else, whatever the libraries log. */
export function createOutput(json: boolean): Output {
  // Notes, warnings of libraries and stray console.log calls: all of that is log.
  globalThis.console = new Console(process.stderr, process.stderr);
  const note = (line: string) => void process.stderr.write(`${line}\n`);
  if (json) {
    return {
      note,
      stream: () => undefined,
      results: (runs) => void process.stdout.write(`${JSON.stringify({ runs }, undefined, 2)}\n`),
    };
  }
  return {
    note,
    stream: (text) => void process.stdout.write(text),
    results(runs) {
      for (const run of runs) process.stdout.write(`${describe(run)}\n`);
    },
  };
}

function describe({ runId, workflow, status, durationMs, model, result, error }: FinishedRun): string {
  const mark = status === 'completed' ? '✓' : '✗';
  const simulated = model === 'simulated' ? ', answers SIMULATED' : '';
  const head = `\n\n${mark} ${workflow} ${status} in ${(durationMs / 1000).toFixed(1)} s (run ${runId}${simulated})`;
  if (error) return `${head}\n  ${error.replaceAll('\n', '\n  ')}`;
  const lines = Object.entries(result as Record<string, unknown>)
    .filter(([key]) => !SHOWN_ALREADY.has(key))
    .map(([key, value]) => `  ${key}: ${typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)}`);
  return [head, ...lines.map((line) => line.replaceAll('\n', '\n  '))].join('\n');
}

/** The text that the user gave, the report that was streamed, and what the headline says. */
const SHOWN_ALREADY = new Set(['content', 'report', 'workflowId', 'model']);
