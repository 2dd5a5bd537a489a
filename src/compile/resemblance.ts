export type Directive = 'use step' | 'use workflow';

/** How many letters may be wrong. 'use strict' is four away from 'use step'. */
const LETTERS: [Directive, number][] = [
  ['use step', 2],
  ['use workflow', 3],
];

const LONGEST = 24;

/** Which directive a text is, or was meant to be: `use setp`, `Use Step`, `use-step`, `useworkflow`. */
export function resembles(text: string): Directive | undefined {
  if (text.length > LONGEST) return undefined;
  const letters = lettersOf(text);
  return LETTERS.find(([directive, limit]) => distance(letters, lettersOf(directive)) <= limit)?.[0];
}

function lettersOf(text: string): string {
  return text.toLowerCase().replace(/[^a-z]/g, '');
}

/** Letters to insert, remove or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
