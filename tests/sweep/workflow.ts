/** One workflow with all that exists: see the first test of tests/chaos/every-statement.test.ts. */
import {
  createHook,
  FatalError,
  getStepMetadata,
  getWorkflowMetadata,
  getWritable,
  RetryableError,
  sleep,
} from 'workflow';
import { openRunStream } from '../../src/streams/run-stream.ts';
import { noteExecution } from '../fixtures/executions.ts';
import { SPOKEN } from './spoken-streams.ts';

export async function everythingWorkflow(token: string) {
  'use workflow';
  const first = await add(1, 1);
  const second = await add(first, 1);
  const parallel = await Promise.all([add(second, 10), add(second, 20), retried()]);
  await sleep('1s');
  const caught = await fatal().catch((error: Error) => error.message.includes('never again'));
  const answer = await answered(token);
  const words = await streamed(['one', 'two', 'three']);
  const given = getWritable<string>({ namespace: 'given' });
  const spoken = await Promise.all([speak(), speakAndFail(given).catch((error: Error) => error.message)]);
  return { first, second, parallel, caught, answer, words, spoken };
}

/** The hook is disposed of here, in the middle of the run. */
async function answered(token: string) {
  using hook = createHook<{ answer: string }>({ token });
  return (await hook).answer;
}

async function add(left: number, right: number) {
  'use step';
  await note();
  return left + right;
}

/** Fails once. An execution that was cut off is none of its attempts. */
async function retried() {
  'use step';
  await note();
  const { attempt } = getStepMetadata();
  if (attempt < 2) throw new RetryableError('not yet', { retryAfter: 1_000 });
  return `attempt ${attempt}`;
}

async function fatal() {
  'use step';
  await note();
  throw new FatalError('never again');
}

/** Each word is a chunk of its own: it is durable before the next one is written. */
async function streamed(words: string[]) {
  'use step';
  await note();
  if (process.env.SWEEP_WORLD === 'stock') return streamedAsUsual(words);
  const stream = openRunStream();
  for (const word of words) {
    stream.write(`${word} `);
    await stream.end();
  }
  return words.length;
}

/** As the runtime's documentation has it. */
async function streamedAsUsual(words: string[]) {
  const { attempt } = getStepMetadata();
  const writer = getWritable<{ attempt: number; index: number; text: string }>().getWriter();
  for (const [index, word] of words.entries()) await writer.write({ attempt, index, text: `${word} ` });
  await writer.close();
  return words.length;
}

/** In each of the ways that there are. */
async function speak() {
  'use step';
  await note();
  const streamOf = (namespace: string) => getWritable<string>({ namespace });
  const writerOf = (namespace: string) => {
    const writer = streamOf(namespace).getWriter();
    for (const word of SPOKEN) void writer.write(word);
    return writer;
  };
  const closed = writerOf('closed').close();
  const released = writerOf('released');
  await released.ready;
  released.releaseLock();
  await Promise.all([closed, ReadableStream.from(SPOKEN).pipeTo(streamOf('piped'))]);
  writerOf('open');
  return SPOKEN.length;
}

async function speakAndFail(given: WritableStream<string>) {
  'use step';
  await note();
  await ReadableStream.from(SPOKEN).pipeTo(given);
  throw new FatalError('spoken, and failed');
}

function note(): Promise<number> {
  return noteExecution({ runId: getWorkflowMetadata().workflowRunId, stepId: getStepMetadata().stepId });
}
