import { relative } from 'node:path';
import { ConfigError } from '../config/config.ts';

/** What is wrong with somebody's workflow code, and what to write instead. */
export interface Mistake {
  /** Absolute. */
  file: string;
  /** From 1. */
  line: number;
  column: number;
  /** The function that it is in; undefined at the top of a file. */
  name: string | undefined;
  text: string;
}

/**
 * All of them at once, a line each. Who must correct three things does not want to be told three times.
 * @throws ConfigError unless there are none
 */
export function refuse(mistakes: readonly Mistake[], projectRoot: string): void {
  if (mistakes.length === 0) return;
  const lines = mistakes
    .toSorted((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column)
    .map(({ file, line, column, name, text }) => {
      const place = `${relative(projectRoot, file)}:${line}:${column}`;
      return `  ${place} ${name === undefined ? '' : `${name}: `}${text}`;
    });
  throw new ConfigError(`The workflows do not compile:\n${[...new Set(lines)].join('\n')}`);
}

/** Of a whole file. */
export function atTop(file: string, text: string): Mistake {
  return { file, line: 1, column: 1, name: undefined, text };
}
