import { fromSchema, type JsonSchema } from './simulated-schema.ts';
import { keyTerms, scoreSentiment, sentences, tagged } from './text-statistics.ts';

/** Characters of a text that are counted: its words hold up the worker, which the simulated API runs in. */
const MOST_COUNTED = 200_000;

/**
 * What the simulated model answers: found in the prompt by counting words, so that it fits the
 * user's text and is the same every time. It says in the text what it is.
 */
export function simulateText(prompt: string): string {
  const findings = tagged(prompt, 'findings')?.slice(0, MOST_COUNTED);
  if (findings) return synthesis(tagged(prompt, 'topic') ?? 'the topic', findings);
  const topic = tagged(prompt, 'topic')?.slice(0, MOST_COUNTED);
  if (topic) return finding(topic, prompt);
  return report(tagged(prompt, 'content') ?? prompt);
}

/** An object that satisfies a tool's schema, filled from the prompt. */
export function simulateObject(schema: unknown, prompt: string): unknown {
  const text = (tagged(prompt, 'content') ?? prompt).slice(0, MOST_COUNTED);
  const { score, positive, negative } = scoreSentiment(text);
  const reasons = [
    positive.length > 0 ? `speaking for it: ${positive.join(', ')}` : '',
    negative.length > 0 ? `against it: ${negative.join(', ')}` : '',
  ].filter(Boolean);
  return fromSchema(schema as JsonSchema, {
    score,
    label: label(score),
    reasoning: `Simulated: counted words of feeling (${reasons.join('; ') || 'none found'}).`,
    topics: keyTerms(text, 5),
  });
}

function report(text: string): string {
  const content = text.slice(0, MOST_COUNTED);
  const [first = '', ...rest] = sentences(content);
  const terms = keyTerms(content, 5);
  const { score } = scoreSentiment(content);
  return [
    '(Simulated: composed by counting words, not by Claude.)',
    '',
    '## Summary',
    `${content === text ? 'The text' : 'Its beginning'} has ${rest.length + 1} sentences. It opens with: “${first}”`,
    rest.length > 0 ? `It closes with: “${rest.at(-1)}”` : '',
    '',
    '## Sentiment',
    `The tone is ${label(score)} (score ${score.toFixed(2)} on a scale from -1 to 1).`,
    '',
    '## Topics',
    ...terms.map((term) => `- ${term}: “${sentenceAbout(content, term)}”`),
    '',
    '## What to do with it',
    `Read on about ${terms[0] ?? 'the subject'}; it carries most of the text.`,
  ].join('\n');
}

const ANGLES: Record<string, string[]> = {
  technical: ['how mature the building blocks are', 'what has to be integrated', 'where it fails under load'],
  business: ['who pays, and for what', 'what it replaces', 'how long until it earns its cost'],
  ethical: ['who is affected without being asked', 'what can be undone', 'who answers for mistakes'],
};

function finding(topic: string, prompt: string): string {
  const role = Object.keys(ANGLES).find((name) => prompt.toLowerCase().includes(name)) ?? 'technical';
  const questions = (ANGLES[role] ?? []).map((question) => `- ${question}`);
  return [
    `(Simulated.) The ${role} side of ${topic}, as the questions to ask first:`,
    ...questions,
    `Until they are answered, treat every ${role} claim about ${keyTerms(topic, 1)[0] ?? topic} as provisional.`,
  ].join('\n');
}

function synthesis(topic: string, findings: string): string {
  return [
    `(Simulated.) ${topic}: the three analyses together`,
    '',
    ...Object.keys(ANGLES).map((role) => `- ${role}: begin with ${ANGLES[role]?.[0]}.`),
    '',
    `They agree on ${keyTerms(findings, 3).join(', ')}. Decide the open questions in this order.`,
  ].join('\n');
}

function label(score: number): string {
  if (score > 0.2) return 'positive';
  return score < -0.2 ? 'negative' : 'neutral';
}

function sentenceAbout(content: string, term: string): string {
  return sentences(content).find((sentence) => sentence.toLowerCase().includes(term)) ?? term;
}
