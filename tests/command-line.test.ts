import { describe, expect, test } from 'vitest';
import { parseCommand, startKeyOf, USAGE } from '../src/cli/arguments.ts';
import { createProgress } from '../src/cli/progress.ts';
import { UsageError } from '../src/cli/usage-error.ts';

describe('the command line', () => {
  test('content is the default mode', () => {
    expect(parseCommand([])).toMatchObject({ mode: 'content', json: false });
    expect(parseCommand(['both', '--input', '-', '--topic', 'x', '--json'])).toMatchObject({
      mode: 'both',
      input: '-',
      topic: 'x',
      json: true,
      verbose: false,
      help: false,
    });
    expect(parseCommand(['status', 'wrun_1'])).toMatchObject({ mode: 'status', runId: 'wrun_1', limit: 20 });
  });

  test('a key starts one run, so both have one of their own', () => {
    const [content, both] = [parseCommand(['--key', 'x']), parseCommand(['both', '--key', 'x'])];
    expect(startKeyOf(content, 'content')).toBe('x');
    expect([startKeyOf(both, 'content'), startKeyOf(both, 'research')]).toEqual(['x:content', 'x:research']);
    expect(startKeyOf(parseCommand(['both']), 'content')).toBeUndefined();
  });

  test.each([
    [['run']],
    [['content', 'twice']],
    [['--input']],
    [['worker', '--topic', 'x']],
    [['research', '--topic', ' ']],
    [['--key', ' ']],
    [['--key', 'x'.repeat(256)]],
    [['both', '--key', 'x'.repeat(250)]],
    [['worker', '--key', 'x']],
  ])('%j is refused', (args) => expect(() => parseCommand(args)).toThrow(UsageError));
});

test('--help fits into a terminal of 80 columns', () => {
  for (const line of USAGE.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
});

test('a step that is retried is shown with its reason and when it is tried again', () => {
  const shown: string[] = [];
  using progress = createProgress({ progress: (line) => shown.push(line), countdown: () => undefined }, Date.now);
  const [createdAt, startedAt, endedAt, dueAt] = [0, 1_000, 1_400, 6_400].map((ms) => new Date(ms));
  const common = {
    kind: 'step',
    id: 'step_1',
    name: 'extractTopics',
    createdAt: createdAt!,
    startedAt: startedAt!,
  } as const;
  progress.show({ ...common, state: 'running', executions: 1 });
  progress.show({
    ...common,
    state: 'retrying',
    executions: 1,
    endedAt: endedAt!,
    dueAt: dueAt!,
    error: 'overloaded\nmore',
  });
  progress.show({ ...common, state: 'running', executions: 2 });
  progress.show({ ...common, state: 'failed', executions: 2, endedAt: endedAt!, error: 'refused' });

  expect(shown).toEqual([
    '→ extractTopics',
    '↻ extractTopics failed after 0.4 s, again in 5 s: overloaded',
    '→ extractTopics, execution 2',
    '✗ extractTopics failed after 0.4 s: refused',
  ]);
});
