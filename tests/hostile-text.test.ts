import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { maskSecrets } from '../src/config/config.ts';
import { classify } from '../src/model/failure.ts';
import { quoted } from '../src/model/quoted.ts';
import { withoutKeys } from '../src/model/secrets.ts';
import { simulateObject, simulateText } from '../src/model/simulated-answers.ts';
import { tagged } from '../src/model/text-statistics.ts';
import { reasonOf } from '../src/postgres/reason.ts';

/** Each is repeated, behind its beginning: what patterns look for, and never find whole. */
const SHAPES: Record<string, [beginning: string, repeated: string, end?: string]> = {
  'blanks behind a bracket': ['<', ' '],
  brackets: ['', '< '],
  'openings of a tag': ['', '<content>'],
  'ends of a tag': ['<content>', '</content>'],
  'a tag with blanks only': ['<content>', ' ', '</content>'],
  'one word': ['', 'a'],
  'the beginnings of URLs': ['', 'a://b:'],
  'a password without an end': ['a://b:', 'x'],
  'URLs with passwords': ['', 'a://b:c@'],
  'empty passwords': ['', '?password='],
  keys: ['', 'sk-ant-'],
  'line ends': ['', '\n'],
  'a stack frame of blanks': ['    at ', ' ', '('],
  'a stack frame of brackets': ['    at ', ' ('],
  'a stack frame of numbers': ['    at a:', '1:'],
  'stack frames': ['', '    at f (a.ts:1:1)\n'],
  'fences of code': ['', '```json\n'],
  'a fence of blanks': ['```json', ' \n'],
  'words of feeling': ['', 'good bad term. '],
  accents: ['', 'e\u0301'],
  'halves of characters': ['', '\ud800'],
};

/** What meets text of others, ours and what we have patched of libraries (see patches/). */
const READERS: Record<string, (text: string) => unknown> = {
  'the quotation in a prompt': (text) => quoted('content', text),
  'what the simulated model is asked about': (text) => tagged(text, 'content'),
  'the simulated report': (text) => simulateText(text),
  'the simulated analysis': (text) => simulateText(`<topic>${text}</topic>`),
  'the simulated synthesis': (text) => simulateText(`<findings>${text}</findings>`),
  'the simulated object': (text) => simulateObject({ type: 'object', properties: { topics: { type: 'array' } } }, text),
  'passwords in errors': maskSecrets,
  'keys in errors': withoutKeys,
  'the kind of an error': (text) => classify(new Error(text)),
  'the reason of a failure': (text) => reasonOf(new Error(text)),
  'the stack of a failed run': await stackReader(),
  'JSON in an answer': fencesReader(),
};

/** Of a linear reader, about 4 from one size to the next; of a quadratic one, 16. */
const MOST_GROWTH = 9;

/** Below it, growth is noise. (A quadratic reader that is still below it at the last size is no danger.) */
const NOISE_MS = 10;

test.each(Object.entries(READERS))(
  '%s: its time grows with the length of a hostile text, not with its square',
  (_, read) => {
    for (const [name, shape] of Object.entries(SHAPES)) {
      let before = Infinity;
      for (const characters of [16_000, 64_000, 256_000, 1_024_000]) {
        const ms = fastestOf(3, read, textOf(shape, characters));
        expect(ms, `${name}, ${characters} characters, in ms`).toBeLessThan(Math.max(before, NOISE_MS) * MOST_GROWTH);
        before = ms;
      }
    }
  },
);

test('a password is masked up to the last @ of its word, and what is no URL is left alone', () => {
  expect(maskSecrets('to postgres://me:p@ss:w/rd@host/db and mail@host a://b:')).toBe(
    'to postgres://me:***@host/db and mail@host a://b:',
  );
  expect(maskSecrets('a://b@c x://y:z@w?password=p&q=1')).toBe('a://b@c x://y:***@w?password=***&q=1');
});

test('blanks and slashes do not hide a tag', () => {
  for (const tag of ['<content>', '</content>', '< / content >', '<\n/\tCONTENT', '<system-reminder>', '<  content']) {
    expect(quoted('content', tag)).toBe(`<content>\n&lt;${tag.slice(1)}\n</content>`);
  }
  expect(quoted('content', '<contents> < x')).toBe('<content>\n<contents> < x\n</content>');
});

test('the stack of a failed run names the line of the source, whatever stands before it', async () => {
  const { remapErrorStack } = await sourceMaps();
  // Line 1, column 1 of the bundle is line 3, column 1 of own.ts.
  const map = { version: 3, sources: ['own.ts'], names: [], mappings: 'AAEA' };
  const remapped = (stack: string) => remapErrorStack(stack, './own', withMap(map));
  expect(remapped('Error: x\n    at run (./own.js:1:1)\n    at async new A (./own (1).js:1:1)')).toBe(
    'Error: x\n    at run (own.ts:3:0)\n    at async new A (own.ts:3:0)',
  );
  expect(remapped('    at ./own.js:1:1\n    at f (node:fs:1:1)')).toBe(
    '    at anonymous (own.ts:3:0)\n    at f (node:fs:1:1)',
  );
});

function textOf([beginning, repeated, end = '']: [string, string, string?], characters: number): string {
  return beginning + repeated.repeat(characters / repeated.length) + end;
}

function fastestOf(times: number, read: (text: string) => unknown, text: string): number {
  const durations = Array.from({ length: times }, () => {
    const begin = performance.now();
    read(text);
    return performance.now() - begin;
  });
  return Math.min(...durations);
}

function sourceMaps(): Promise<{ remapErrorStack(stack: string, file: string, code: string): string }> {
  return import(new URL('source-map.js', import.meta.resolve('@workflow/core')).href);
}

function withMap(map: unknown): string {
  return `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`;
}

async function stackReader() {
  const { remapErrorStack } = await sourceMaps();
  const code = withMap({ version: 3, sources: [], names: [], mappings: '' });
  return (text: string) => remapErrorStack(text, './own', code);
}

/** The provider does not export what looks for JSON in prose: its pattern is taken out of its source. */
function fencesReader() {
  const source = readFileSync(new URL(import.meta.resolve('ai-sdk-provider-claude-code')), 'utf8');
  const pattern = /const fencedBlocks = Array\.from\(trimmed\.matchAll\(\/(.*?)\/gi\)\)/.exec(source)![1]!;
  return (text: string) => [...text.matchAll(new RegExp(pattern, 'gi'))];
}
