/** The calls of contentAnalysisWorkflow with nothing around them: no workflow, no database, no ledger. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateText, Output, streamText } from 'ai';
import { createClaudeCode } from 'ai-sdk-provider-claude-code';
import { z } from 'zod';
import { cliEnvironment, simulatedEnvironment } from '../../src/model/cli-environment.ts';
import { quoted } from '../../src/model/quoted.ts';
import { startSimulatedApi } from '../../src/model/simulated-api.ts';
import { now } from './messages.ts';
import { serve } from './serve.ts';

const api = await startSimulatedApi();
const directories = await mkdtemp(join(tmpdir(), 'postgres-world-bench-'));

/** Each with a directory and a configuration of its own, as in a step. */
async function model() {
  const home = await mkdtemp(join(directories, 'call-'));
  const env = {
    ...simulatedEnvironment(cliEnvironment(), api.url),
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, 'config'),
    TMPDIR: home,
    CLAUDE_CODE_TMPDIR: home,
  };
  return createClaudeCode({
    defaultSettings: {
      tools: [],
      settingSources: [],
      strictMcpConfig: true,
      permissionMode: 'dontAsk',
      persistSession: false,
      includePartialMessages: true,
      env,
      cwd: home,
    },
  })('sonnet');
}

async function ask(content: string): Promise<number> {
  const begun = now();
  const sentiment = await generateText({
    model: await model(),
    prompt: `Analyze the sentiment of this text.\n\n${quoted('content', content)}`,
    output: Output.object({
      schema: z.object({
        score: z.number().min(-1).max(1),
        label: z.enum(['positive', 'neutral', 'negative']),
        reasoning: z.string(),
      }),
    }),
  });
  const topics = await generateText({
    model: await model(),
    prompt: `Extract the key topics of this text.\n\n${quoted('content', content)}`,
    output: Output.object({ schema: z.object({ topics: z.array(z.string()).min(1).max(8) }) }),
  });
  const { textStream } = streamText({
    model: await model(),
    prompt: [
      'Write a report about this text: a summary, its sentiment, its topics, and what to do with it.',
      quoted('content', content),
      quoted('sentiment', JSON.stringify(sentiment.output)),
      quoted('topics', topics.output.topics.join('\n')),
    ].join('\n\n'),
  });
  let length = 0;
  for await (const text of textStream) length += text.length;
  if (length === 0) throw new Error('There was no report.');
  return now() - begun;
}

serve({ ask }, async () => {
  await api[Symbol.asyncDispose]();
  await rm(directories, { recursive: true, force: true, maxRetries: 3 });
});
