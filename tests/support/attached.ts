import { join } from 'node:path';
import { expect } from 'vitest';
import type { Application } from './application.ts';
import { PROJECT, startProgram, type Program } from './program.ts';

/** What the workflows of the tests write. */
export const WORDS = Array.from({ length: 60 }, (_, n) => `word${n}`);
export const TEXT = WORDS.map((word) => `${word} `).join('');

export interface ShownChunk {
  index: number;
  attempt: number;
  text: string;
  superseded?: true;
}

interface ShownEnd {
  runId: string;
  status: string;
  chunks: number;
  error?: string;
}

/** `index.ts attach RUN_ID ARGS`, as a process. */
export function attach({ env }: Pick<Application, 'env'>, runId: string, ...args: string[]): Program {
  return startProgram(join(PROJECT, 'index.ts'), ['attach', runId, ...args], { env });
}

/** The chunks that `attach --json` has shown so far. */
export function shownChunks({ stdout }: Program): ShownChunk[] {
  return documents(stdout).filter((it): it is ShownChunk => 'index' in it);
}

/** Its last line. */
export function shownEnd({ stdout }: Program): ShownEnd | undefined {
  return documents(stdout).find((it): it is ShownEnd => 'status' in it);
}

export function textOf(chunks: readonly { text: string }[]): string {
  return chunks.map(({ text }) => text).join('');
}

/** In one attempt, from the first chunk to the last, each of them once. */
export function expectEveryWord(program: Program): void {
  const chunks = shownChunks(program);
  expect(chunks.map(({ index }) => index)).toEqual(chunks.map((_, n) => n));
  expect(new Set(chunks.map(({ attempt }) => attempt))).toEqual(new Set([1]));
  expect(textOf(chunks)).toBe(TEXT);
  expect(shownEnd(program)).toMatchObject({ status: 'completed', chunks: chunks.length });
}

function documents(stdout: string): (ShownChunk | ShownEnd)[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ShownChunk | ShownEnd);
}
