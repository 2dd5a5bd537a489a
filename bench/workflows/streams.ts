/** A step that writes what a model might: many small pieces, each with the time at which it was written. */
import { setTimeout as delay } from 'node:timers/promises';
import { getStepMetadata, getWritable } from 'workflow';
import { openRunStream } from '../../src/streams/run-stream.ts';
import { noteBody, noteStep } from '../workers/counters.ts';
import { now } from '../workers/messages.ts';

const TICK_MS = 2;

/** Through the durable stream of this project. */
export async function durableStreamWorkflow(tokens: number, perSecond: number) {
  'use workflow';
  noteBody();
  await writeDurably(tokens, perSecond);
}

/** Through the runtime's own, as its documentation has it. */
export async function writableWorkflow(tokens: number, perSecond: number) {
  'use workflow';
  noteBody();
  await writeAsUsual(tokens, perSecond);
}

async function writeDurably(tokens: number, perSecond: number) {
  'use step';
  const stream = openRunStream();
  await pace(tokens, perSecond, (token) => stream.write(token));
  await stream.end();
  noteStep(getStepMetadata().stepId);
}

async function writeAsUsual(tokens: number, perSecond: number) {
  'use step';
  const writer = getWritable<{ text: string }>().getWriter();
  // Not one after the other: it resolves when the token was flushed, and a model does not wait for that.
  const writes: Promise<void>[] = [];
  await pace(tokens, perSecond, (text) => void writes.push(writer.write({ text })));
  await Promise.all(writes);
  await writer.close();
  noteStep(getStepMetadata().stepId);
}

/** Each token is the moment of its writing, and a space. */
async function pace(tokens: number, perSecond: number, write: (token: string) => void): Promise<void> {
  const begun = now();
  for (let written = 0; written < tokens; await delay(TICK_MS)) {
    const due = Math.min(tokens, Math.ceil(((now() - begun) * perSecond) / 1_000));
    for (; written < due; written += 1) write(`${now().toFixed(3)} `);
  }
}
