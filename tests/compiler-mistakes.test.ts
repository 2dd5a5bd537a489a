import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileWorkflows } from '../src/compile/compile.ts';
import { createCheckout } from './support/checkout.ts';
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
const step = (body: string, head = 'async function one()') => `${WORKFLOW}${head} {\n  ${body}\n}\n`;

/** The step stands behind four lines of workflow. */
const MISTAKES: Record<string, [text: string, ...says: string[]]> = {
  'a misspelt step': [
    step(`'use setp';`),
    `main.ts:6:3 one: 'use setp' means nothing, so this is not durable; write 'use step'`,
  ],
  'a misspelt workflow': [
    WORKFLOW.replace('use workflow', 'use workfow') + STEP,
    `main.ts:2:3 workflow: 'use workfow' means nothing, so this is not durable; write 'use workflow'`,
  ],
  'capital letters': [step(`"Use Step";`), `main.ts:6:3 one: 'Use Step' means nothing`],
  'a hyphen': [step(`'use-step';`), `main.ts:6:3 one: 'use-step' means nothing`],
  'no blank': [step(`'usestep'`), `main.ts:6:3 one: 'usestep' means nothing`],
  backticks: [step('`use step`;'), `main.ts:6:3 one: 'use step' means something only in quotes`],
  parentheses: [step(`('use step');`), `main.ts:6:3 one: 'use step' means something only in quotes`],
  'a directive after a statement': [
    step(`const started = Date.now();\n  'use step';\n  return started;`),
    `main.ts:7:3 one: 'use step' means nothing here; write it as the first line of its function`,
  ],
  'a directive in a block': [
    step(`if (true) {\n    'use step';\n  }`),
    `main.ts:7:5 one: 'use step' means nothing here`,
  ],
  'a directive for the whole file after the imports': [
    `import { sleep } from 'workflow';\n'use workflow';\nexport async function workflow() {\n  await sleep('1s');\n}`,
    `main.ts:2:1 'use workflow' means nothing here; write it as the first line of the file, or of the function`,
  ],
  'two directives': [
    step(`'use step';\n  'use workflow';`),
    `main.ts:7:3 one: has 'use step' already; write one of the two`,
  ],
  'a step that is not async': [
    step(`'use step';`, 'function one()'),
    `main.ts:6:3 one: a step must be async; write async function one`,
  ],
  'a step that is a generator': [
    step(`'use step';`, 'async function* one()'),
    `main.ts:6:3 one: a step gives one result`,
  ],
  'a getter': [
    `${WORKFLOW}class Two {\n  get one() {\n    'use step';\n    return 1;\n  }\n}`,
    `main.ts:7:5 Two.one: a getter, setter or constructor cannot be a step`,
  ],
  'a step without a name': [
    `${WORKFLOW}export default async () => {\n  'use step';\n};`,
    `main.ts:6:3 default: a step needs a name; write async function NAME() { … }`,
  ],
  'a step that another function declares': [
    WORKFLOW.replace('return', `async function one() {\n    'use step';\n  }\n  return`),
    `main.ts:4:5 one: a step cannot be declared inside another function; write it at the top level of the file`,
  ],
  'a step that the compiler leaves out': [
    `${WORKFLOW}const one = ((it: object) => it)(async () => {\n  'use step';\n}) as () => Promise<void>;`,
    `main.ts:5:34 one: cannot be compiled where it stands; write it at the top level of the file`,
  ],
  'a file without a workflow': [STEP, `main.ts:1:1 has no workflow; write 'use workflow' first in an async function`],
  'an error of the syntax': [step(`'use step';\n  return 1 +;`), 'main.ts:7:13 Expression expected'],
  'a missing module': [
    `import { two } from './two.ts';\n${WORKFLOW}two();`,
    'main.ts:1:21 Could not resolve "./two.ts"',
  ],
  'all of them at once': [
    `${WORKFLOW}async function one() {\n  'use setp';\n}\nexport async function two() {\n  'use workfow';\n}`,
    `main.ts:6:3 one: 'use setp' means nothing`,
    `main.ts:9:3 two: 'use workfow' means nothing`,
  ],
};

test.each(Object.entries(MISTAKES))('%s is refused, with file and line', async (_, [text, ...says]) => {
  const root = await createProject({ 'main.ts': text });

  const { name, message } = await refusalOf(root, [join(root, 'main.ts')]);

  expect(name).toBe('ConfigError');
  expect(message.split('\n')).toEqual([
    'The workflows do not compile:',
    ...says.map((line) => expect.stringContaining(`  ${line}`) as unknown),
  ]);
});

const IN_THE_EXAMPLE: [mistake: string, edit: (text: string) => string, says: string][] = [
  [
    'a misspelt directive',
    (text) => text.replace(`\n  'use step';`, `\n  'use setp';`),
    `workflow-example.ts:LINE:3 analyzeSentiment: 'use setp' means nothing, so this is not durable; write 'use step'`,
  ],
  [
    'a forgotten directive',
    (text) => text.replace(`\n  'use step';`, ''),
    `workflow-example.ts:LINE:1 analyzeSentiment: uses ai-sdk-provider-claude-code (which needs Node) in src/model/claude-code.ts:LINE, which only a step may; write 'use step' first in it`,
  ],
  [
    'an error of the syntax',
    (text) => text.replace('await sleep(', 'await await sleep((,'),
    `workflow-example.ts:LINE:22 Expression expected`,
  ],
];

test('a mistake in the example is one line of its output, and nothing else is', async () => {
  const { url } = await createTestDatabase();
  const { checkout } = await createCheckout(0o755);
  const file = join(checkout, 'workflow-example.ts');
  const text = await readFile(file, 'utf8');

  for (const [mistake, edit, says] of IN_THE_EXAMPLE) {
    await writeFile(file, edit(text));
    const env = { WORKFLOW_POSTGRES_URL: url, WORKFLOW_MODEL: 'simulated' };
    const { exitCode, stdout, stderr } = await run(
      startProgram(join(checkout, 'index.ts'), [], { cwd: checkout, env }),
    );

    expect({ mistake, exitCode, stdout, stderr: stderr.replaceAll(/(?<=\.ts:)\d+/g, 'LINE') }).toEqual({
      mistake,
      exitCode: 1,
      stdout: '',
      stderr: `The workflows do not compile:\n  ${says}\n`,
    });
  }
});

test('a mistake in a file that the workflow imports is found', async () => {
  const imported = `import { one } from './steps.ts';\n${WORKFLOW}`;
  const root = await createProject({
    'main.ts': imported,
    'steps.ts': `// …\n${STEP.replace('use step', 'use stepp')}`,
  });

  const { message } = await refusalOf(root, [join(root, 'main.ts')]);

  expect(message).toMatch(/^ {2}steps\.ts:3:3 one: 'use stepp' means nothing/m);
});

test('a file that the compiler cannot take for its name is named', async () => {
  const root = await createProject({ 'main.ts': `import { one } from "./it's.ts";\n${WORKFLOW}`, "it's.ts": STEP });

  const { message } = await refusalOf(root, [join(root, 'main.ts')]);

  expect(message).toBe(
    `The workflows do not compile:\n  it's.ts:1:1 has a quote in its path, which the compiler cannot take; rename it`,
  );
});

test('a file that cannot be one of workflows is named, with the reason', async () => {
  const root = await createProject({ 'notes.md': '', 'types.d.ts': '', 'folder/main.ts': '', 'C#/main.ts': '' });
  const files = ['nowhere.ts', 'folder', 'notes.md', 'types.d.ts', 'C#/main.ts'].map((file) => join(root, file));

  const { name, message } = await refusalOf(root, [...files, join(PROJECT, 'workflow-example.ts')]);

  expect(name).toBe('ConfigError');
  expect(message.replaceAll(`${root}/`, '').split('\n')).toEqual([
    'The workflow files are not usable:',
    '  nowhere.ts does not exist',
    '  folder is no file: name the files in it',
    '  notes.md is neither TypeScript nor JavaScript',
    '  types.d.ts is neither TypeScript nor JavaScript',
    '  C#/main.ts has a # in its path, which the compiler takes for its end: rename it',
    `  ${join(PROJECT, 'workflow-example.ts')} is outside of projectRoot, ${root}: move it there`,
  ]);
});

async function refusalOf(root: string, files: string[]): Promise<Error> {
  return compileWorkflows(root, files).then(
    () => {
      throw new Error('It compiles.');
    },
    (error: Error) => error,
  );
}
