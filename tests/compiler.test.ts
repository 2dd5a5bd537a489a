import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileWorkflows } from '../src/compile/compile.ts';
import { createTestDatabase } from './support/database.ts';
import { createProject } from './support/project.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const WORKFLOW = `export async function workflow() {
  'use workflow';
  return await one();
}
`;
const STEP = `export async function one() {
  'use step';
  return process.pid;
}
`;

const calls = (call: string) => WORKFLOW.replace('one()', call);
const imports = (from: string, what = '{ one }') => `import ${what} from '${from}';\n${WORKFLOW}`;

const FORMS: Record<string, Record<string, string>> = {
  'on one line, with its workflow': {
    'main.ts': `export async function workflow() { 'use workflow'; return await one(); }
        async function one() { 'use step'; return process.pid; }`,
  },
  'on one line, the only one of its file': {
    'main.ts': imports('./steps.ts'),
    'steps.ts': `// prettier-ignore\nexport async function one() { 'use step'; return process.pid; }`,
  },
  'without semicolons, after a comment': {
    'main.ts': `${WORKFLOW}async function one() // why\n{\n /* this */ 'use step' // that\n return process.pid\n}`,
  },
  'in an arrow function': {
    'main.ts': `${WORKFLOW}const one = async () => {\n  'use step';\n  return process.pid;\n};`,
  },
  'in an exported arrow function': {
    'main.ts': imports('./steps.ts'),
    'steps.ts': `export const one = async () => {\n  'use step';\n  return process.pid;\n};`,
  },
  'in a static method': {
    'main.ts': `${calls('A.one()')}class A {\n  static async one() {\n    'use step';\n    return process.pid;\n  }\n}`,
  },
  'in a method of an object': {
    'main.ts': `${calls('a.one()')}const a = {\n  async one() {\n    'use step';\n    return process.pid;\n  },\n};`,
  },
  'inside its workflow': {
    'main.ts': WORKFLOW.replace(
      'return await',
      `const one = async () => {\n'use step';\nreturn process.pid;\n};\nreturn await`,
    ),
  },
  'the default export': {
    'main.ts': imports('./steps.ts', 'one'),
    'steps.ts': STEP.replace('export', 'export default'),
  },
  'by a directive for the whole file': {
    'main.ts': imports('./steps.ts'),
    'steps.ts': `'use step';\n${STEP.replace("'use step';", '')}`,
  },
  're-exported': { 'main.ts': imports('./index.ts'), 'index.ts': `export * from './steps.ts';`, 'steps.ts': STEP },
  'imported as JavaScript': { 'main.ts': imports('./steps.js'), 'steps.ts': STEP },
  'imported without an extension': { 'main.ts': imports('./steps'), 'steps/index.ts': STEP },
  'in a file of another kind': {
    'main.mts': imports('./steps.tsx'),
    'steps.tsx': `export const view = () => <b />;\n${STEP}`,
  },
  'in a file with an unusual name': {
    'main.ts': imports('./wörld (1)/[$id] `a`.ts'),
    'wörld (1)/[$id] `a`.ts': STEP,
  },
  'with the line ends of Windows and a byte order mark': {
    'main.ts': `\uFEFF${WORKFLOW}${STEP}`.replaceAll('\n', '\r\n'),
  },
  'beside strings that other tools read': {
    'main.ts': `'use strict';\n${WORKFLOW}${STEP}function pure() {\n  'use client';\n  'use cache: remote';\n  'use memo';\n}\nexport const all = [pure];`,
  },
};

test('a step is a step, however it is written', async () => {
  const names = Object.keys(FORMS);
  const files = Object.entries(FORMS).flatMap(([form, own]) =>
    Object.entries(own).map(([file, text]) => [`form-${names.indexOf(form)}/${file}`, text] as const),
  );
  const root = await createProject(Object.fromEntries(files));
  // Relative to the working directory, as somebody would name them.
  const { pid, outcomes } = await runEvery(
    root,
    files.map(([file]) => file).filter((file) => file.includes('main')),
  );

  // A workflow has no process.pid: the step gave it.
  const expected = names.map((form) => [form, pid, [expect.stringMatching(/one$/)]]);
  const formOf = (name: string) => names[Number(/form-(\d+)/.exec(name)![1])]!;
  expect(outcomes.map(({ name, result, steps }) => [formOf(name), result, steps]).toSorted()).toEqual(
    expected.toSorted(),
  );
});

test('two workflows of one name are each begun, and seen apart', async () => {
  const adds = (text: string) =>
    `export async function addTen() {\n  'use workflow';\n  return '${text}';\n}\nexport async function only${text}() {\n  'use workflow';\n}`;
  const root = await createProject({ 'first.ts': adds('One'), 'more/second.ts': adds('Two') });

  const { url, outcomes } = await runEvery(root, ['first.ts', 'more/second.ts']);

  expect(outcomes.map(({ name, result }) => [name, result]).toSorted()).toEqual([
    ['first.ts#addTen', 'One'],
    ['more/second.ts#addTen', 'Two'],
    ['onlyOne', undefined],
    ['onlyTwo', undefined],
  ]);
  const status = await run(
    startProgram(join(PROJECT, 'index.ts'), ['status'], { env: { WORKFLOW_POSTGRES_URL: url } }),
  );
  for (const name of ['first#addTen', 'more/second#addTen', 'onlyOne', 'onlyTwo']) {
    expect(status.stdout).toContain(`  ${name} `);
  }
  const { workflows } = await compileWorkflows(root, [join(root, 'first.ts'), join(root, 'more/second.ts')]);
  expect(() => workflows.addTen).toThrow(
    'addTen stands for 2 workflows: write one of first.ts#addTen, more/second.ts#addTen.',
  );
  expect(workflows['more/second.ts#onlyTwo']).toBe(workflows.onlyTwo);
});

interface Outcome {
  name: string;
  result: unknown;
  steps: string[];
}

/** Runs each workflow of the files once, in one process. */
async function runEvery(root: string, files: string[]) {
  const { url } = await createTestDatabase();
  const program = startProgram(join(PROJECT, 'tests/fixtures/every-workflow.ts'), [root, ...files], {
    cwd: root,
    env: { WORKFLOW_POSTGRES_URL: url },
  });
  const { exitCode, stdout, stderr } = await run(program);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const lines = stdout.split('\n').filter(Boolean);
  return { url, pid: program.pid, outcomes: lines.map((line) => JSON.parse(line) as Outcome) };
}
