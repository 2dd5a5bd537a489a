import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileWorkflows } from '../src/compile/compile.ts';
import { createProject } from './support/project.ts';

const WORKFLOW = `export async function workflow() {
  'use workflow';
  return await one();
}
`;
const STEP = `export async function one() {\n  'use step';\n  return load();\n}\n`;

/** Stands behind four lines of workflow. */
const one = (body: string) => `${WORKFLOW}async function one() {\n  ${body}\n}\n`;
const LIB = `import fs from 'node:fs';\nexport const pure = () => 1;\nexport function load() {\n  return fs.readFileSync('x');\n}\n`;
const loads = (text: string) => ({ 'main.ts': `import { load, pure } from './lib.ts';\n${text}`, 'lib.ts': LIB });

const FORGOTTEN: Record<string, [files: Record<string, string>, says: string]> = {
  'a module of Node, imported when it is needed': [
    { 'main.ts': one(`return (await import('node:fs')).readFileSync('x');`) },
    `main.ts:5:1 one: uses node:fs in line 6, which only a step may; write 'use step' first in it`,
  ],
  'a module of Node': [
    { 'main.ts': `import {\n  readFile,\n} from 'fs/promises';\n${one(`return readFile('x');`)}` },
    `main.ts:8:1 one: uses fs/promises in line 9, which only a step may; write 'use step' first in it`,
  ],
  'a module of Node, by a helper in another file': [
    loads(one(`return load();`)),
    `main.ts:6:1 one: uses node:fs in lib.ts:4, which only a step may; write 'use step' first in it`,
  ],
  'in a file of steps': [
    {
      'main.ts': `import * as steps from './index.ts';\n${WORKFLOW.replace('one', 'steps.one')}`,
      'index.ts': `export { forgotten as one } from './steps.ts';`,
      'steps.ts': `import { load } from './lib.ts';\n${STEP.replace('one', 'two')}export const forgotten = async () => load();\n`,
      'lib.ts': LIB,
    },
    `steps.ts:6:26 forgotten: uses node:fs in lib.ts:4, which only a step may; write 'use step' first in it`,
  ],
  'a package that needs Node': [
    { 'main.ts': `import { Client } from 'pg';\n${one(`await new Client().connect();`)}` },
    `main.ts:6:1 one: uses pg (which needs Node) in line 7, which only a step may; write 'use step' first in it`,
  ],
  'a module of Node in a static method': [
    {
      'main.ts': `import fs from 'node:fs';\n${WORKFLOW.replace('one', 'A.one')}class A {\n  static async one() {\n    return fs.readFileSync('x');\n  }\n}`,
    },
    `main.ts:7:3 A.one: uses node:fs in line 8, which only a step may; write 'use step' first in it`,
  ],
  'a request': [
    { 'main.ts': one(`return (await fetch('http://localhost')).text();`) },
    `main.ts:5:1 one: uses fetch in line 6, which only a step may; write 'use step' first in it, or import { fetch } from 'workflow'`,
  ],
  'a timer': [
    { 'main.ts': one(`await new Promise((wake) => setTimeout(wake, 10));`) },
    `main.ts:5:1 one: uses setTimeout in line 6, which only a step may; write 'use step' first in it, or call sleep() of 'workflow'`,
  ],
  'a property of the process': [
    { 'main.ts': one(`return process.cwd();`) },
    `main.ts:5:1 one: uses process.cwd in line 6, which only a step may; write 'use step' first in it`,
  ],
  'a workflow that does it itself': [
    { 'main.ts': `import os from 'node:os';\n${WORKFLOW.replace('await one()', 'os.hostname()')}` },
    `main.ts:2:8 workflow: uses node:os in line 4, which only a step may; move it into an async function with 'use step'`,
  ],
  'a function that calls steps, too': [
    { 'main.ts': `${one(`return process.cwd() + (await two());`)}async function two() {\n  'use step';\n}\n` },
    `main.ts:1:8 workflow: uses process.cwd in main.ts:6, which only a step may; move it into an async function with 'use step'`,
  ],
  'outside of functions': [
    { 'main.ts': `import os from 'node:os';\nconst host = os.hostname();\n${WORKFLOW.replace('await one()', 'host')}` },
    `main.ts:1:1 uses node:os outside of its steps, which only a step may; move what uses it into one`,
  ],
};

test.each(Object.entries(FORGOTTEN))('a forgotten directive is named: %s', async (_, [files, says]) => {
  const root = await createProject(files);

  const refused = await compileWorkflows(root, [join(root, 'main.ts')]).then(
    () => undefined,
    (error: Error) => error,
  );

  expect(refused?.name).toBe('ConfigError');
  expect(refused?.message.split('\n')).toEqual(['The workflows do not compile:', `  ${says}`]);
});

const CORRECT: Record<string, Record<string, string>> = {
  'any text in an async function': {
    'main.ts': one(
      `'use the force';\n  const text = ['use step', "use setp", \`use workflow\`];\n  'done';\n  return text;`,
    ),
  },
  'a step that does all that': {
    'main.ts': `import os from 'node:os';\n${one(`'use step';\n  setTimeout(() => {}, 1);\n  return [os, fetch, process.cwd(), await import('node:fs')];`)}`,
  },
  'a helper of a step': loads(`${WORKFLOW}${STEP}export async function help() {\n  return load();\n}\n`),
  'a file of which only the steps use the part that needs Node': loads(
    `${WORKFLOW.replace('await one()', 'pure()')}${STEP}`,
  ),
  'a module that is imported for its types': {
    'main.ts': `import type { Stats } from 'node:fs';\nimport { type Dirent } from 'fs';\n${one('return [] as (Stats | Dirent)[];')}`,
  },
  'what the runtime has': {
    'main.ts': one(`return [process.env.HOME, crypto.randomUUID(), new URL('http://localhost')];`),
  },
  "the runtime's own fetch": {
    'main.ts': `import { fetch } from 'workflow';\n${one(`return fetch('http://localhost');`)}`,
  },
  'a fetch that the workflow provides': {
    'main.ts': `import { fetch as fetchInStep } from 'workflow';\n${one(`globalThis.fetch = fetchInStep;\n  return request();`)}const request = () => fetch('http://localhost');`,
  },
  'a function that looks first': {
    'main.ts': one(`if (typeof setTimeout === 'function') setTimeout(() => {}, 1);`),
  },
  'names of its own': {
    'main.ts': one(
      `const require = (it: string) => it;\n  return require('node:fs') + ((fetch: () => number) => fetch())(() => 1);`,
    ),
  },
  'properties of such names': {
    'main.ts': one(`const it = { fetch: () => 1, process: 2 };\n  return it.fetch() + it.process;`),
  },
  'functions that import each other': {
    'main.ts': `import { one } from './a.ts';\n${WORKFLOW}`,
    'a.ts': `export { one } from './b.ts';\nexport const two = () => 1;\n`,
    'b.ts': `import { two } from './a.ts';\nexport async function one(): Promise<number> {\n  return two() || one();\n}\n`,
  },
  'an import of a file, when it is needed': {
    'main.ts': one(`const { two } = await import('./two.ts');\n  return two();`),
    'two.ts': `export const two = () => 2;`,
  },
};

test.each(Object.entries(CORRECT))('a correct program is not refused: %s', async (_, files) => {
  const root = await createProject(files);

  const { workflows } = await compileWorkflows(root, [join(root, 'main.ts')]);

  expect(Object.keys(workflows)).toEqual(['workflow']);
});
