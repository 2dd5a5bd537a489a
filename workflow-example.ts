/**
 * Two durable workflows. A function with 'use workflow' is replayed from its first line whenever
 * something happened; a function with 'use step' is executed, its result recorded, and never
 * executed again. Begin one with `start()`: called as a plain function, it would not be durable.
 */
import { createHook, getWorkflowMetadata, sleep } from 'workflow';
import { z } from 'zod';
import { approvalToken, type Approval } from './src/approval/approval.ts';
import { answerObject, answerText } from './src/model/answer.ts';
import { claudeCode, modelInUse } from './src/model/claude-code.ts';
import { quoted } from './src/model/quoted.ts';
import { openRunStream } from './src/streams/run-stream.ts';

const sentimentSchema = z.object({
  score: z.number().min(-1).max(1).describe('from -1, negative, to 1, positive'),
  label: z.enum(['positive', 'neutral', 'negative']),
  reasoning: z.string().describe('one or two sentences'),
});

const topicsSchema = z.object({
  topics: z.array(z.string()).min(1).max(8).describe('the key topics, most important first'),
});

type Sentiment = z.infer<typeof sentimentSchema>;

const MINUTES = 60_000;

/**
 * Sentiment → a wait that survives restarts → topics → a report, streamed as it is written → with
 * `approve`, a wait for somebody's yes or no, for as long as that takes.
 */
export async function contentAnalysisWorkflow(content: string, { approve = false } = {}) {
  'use workflow';

  const sentiment = await analyzeSentiment(content);
  await sleep('3s');
  const topics = await extractTopics(content);
  const { text: report, model } = await generateReport(content, sentiment, topics);

  const { workflowRunId: workflowId } = getWorkflowMetadata();
  const approval = approve && (await createHook<Approval>({ token: approvalToken(workflowId) }));
  return { content, sentiment, topics, report, completedAt: now(), workflowId, model, ...(approval && { approval }) };
}

/** Three agents at the same time, on as many workers as there are; a coordinator combines what they found. */
export async function multiAgentResearchWorkflow(topic: string) {
  'use workflow';

  const [technical, business, ethical] = await Promise.all([
    research('technical', topic),
    research('business', topic),
    research('ethical', topic),
  ]);
  const findings = { technical, business, ethical };
  const { text: synthesis, model } = await synthesize(topic, findings);

  return { topic, findings, synthesis, completedAt: now(), model };
}

/**
 * A call that takes longer than `timeoutMs` is killed and made again, as is one that Claude was too busy for: as often
 * as `maxRetries` says, after up to a minute, or when Claude says so. It is so with each step.
 */
async function analyzeSentiment(content: string): Promise<Sentiment> {
  'use step';
  return answerObject({
    model: claudeCode('sonnet'),
    schema: sentimentSchema,
    prompt: `Analyze the sentiment of this text.\n\n${quoted('content', content)}`,
    timeoutMs: 2 * MINUTES,
  });
}
analyzeSentiment.maxRetries = 7;

async function extractTopics(content: string): Promise<string[]> {
  'use step';
  const { topics } = await answerObject({
    model: claudeCode('sonnet'),
    schema: topicsSchema,
    prompt: `Extract the key topics of this text.\n\n${quoted('content', content)}`,
    timeoutMs: 2 * MINUTES,
  });
  return topics;
}
extractTopics.maxRetries = 7;

async function generateReport(content: string, sentiment: Sentiment, topics: string[]) {
  'use step';
  const text = await answerText({
    model: claudeCode('sonnet'),
    prompt: [
      'Write a report about this text: a summary, its sentiment, its topics, and what to do with it.',
      quoted('content', content),
      quoted('sentiment', JSON.stringify(sentiment)),
      quoted('topics', topics.join('\n')),
    ].join('\n\n'),
    stream: openRunStream(),
    timeoutMs: 10 * MINUTES,
  });
  return { text, model: modelInUse() };
}
generateReport.maxRetries = 7;

type Perspective = 'technical' | 'business' | 'ethical';

const AGENTS: Record<Perspective, string> = {
  technical: 'You are a technical analyst: feasibility, architecture, challenges.',
  business: 'You are a business analyst: market, cost, competitive impact.',
  ethical: 'You are an ethics expert: risks, fairness, consequences for society.',
};

async function research(perspective: Perspective, topic: string): Promise<string> {
  'use step';
  return answerText({
    model: claudeCode('sonnet', { systemPrompt: AGENTS[perspective] }),
    prompt: `Give the ${perspective} analysis of this topic in three to five points.\n\n${quoted('topic', topic)}`,
    timeoutMs: 5 * MINUTES,
  });
}
research.maxRetries = 7;

async function synthesize(topic: string, findings: Record<Perspective, string>) {
  'use step';
  const sections = Object.entries(findings).map(([perspective, finding]) => `## ${perspective}\n${finding}`);
  const text = await answerText({
    model: claudeCode('sonnet'),
    prompt: `Combine these findings into one recommendation.\n\n${quoted('topic', topic)}\n\n${quoted('findings', sections.join('\n\n'))}`,
    timeoutMs: 10 * MINUTES,
  });
  return { text, model: modelInUse() };
}
synthesize.maxRetries = 7;

/** Inside a workflow the clock is that of the log: the same at every replay. */
function now(): string {
  return new Date().toISOString();
}
