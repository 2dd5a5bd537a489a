import type { BuildFailure, Message } from 'esbuild';
import { ConfigError } from '../config/config.ts';

/** What esbuild refuses: an import that leads nowhere, a module of Node in a workflow. Each once. */
export function explainFailure(error: unknown): unknown {
  if (!isBuildFailure(error)) return error;
  const lines = new Set(error.errors.map(describe));
  return new ConfigError(`The workflows do not compile:\n${[...lines].join('\n')}`, { cause: error });
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && 'warnings' in error;
}

function describe({ text, location }: Message): string {
  const [what = ''] = text.split('\n');
  return location ? `  ${location.file}:${location.line}:${location.column + 1} ${what}` : `  ${what}`;
}
