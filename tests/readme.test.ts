/** What the README says is run, or compared with the code. */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { environmentSchema } from '../src/config/config.ts';
import { createCheckout } from './support/checkout.ts';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, run, startCommand } from './support/program.ts';

const read = (file: string) => readFile(join(PROJECT, file), 'utf8');
const readme = await read('README.md');
const operations = await read('docs/OPERATIONS.md');

/** Installs, logins, and tests, which would run this one. */
const NOT_HERE = /npm ci|npm test|claude:login|ANTHROPIC_API_KEY/;

/** Commands that run until Ctrl+C, and what they say when they are ready. */
const SERVICES: [RegExp, string | RegExp][] = [
  [/:worker/, 'Worker: takes the runs'],
  [/:web/, /http:\/\/\S+:\d+/],
  [/:dashboard/, /http:\/\/\S+:\d+/],
];

test('every shell command of the README works as written, in this order', { timeout: 900_000 }, async () => {
  const { checkout } = await createCheckout(0o755);
  await writeFile(join(checkout, 'article.txt'), 'The zeppelin was late. The zeppelin was beautiful.');
  const shell = (command: string) => startCommand('bash', ['-c', command], { cwd: checkout, group: true });
  const commands = blocks('bash').flatMap((block) => block.split('\n').map((line) => line.replace(/\s+#.*$/, '')));
  const wanted = commands.filter((command) => command !== '' && !NOT_HERE.test(command));
  expect(wanted.length).toBeGreaterThan(15);
  // The first one of the README installs, too.
  expect((await run(shell('npm run example:postgres-world'))).exitCode).toBe(0);
  const [, runId = ''] = /^(wrun_\w+)/m.exec((await run(shell('npm run -s postgres-world:status'))).stdout) ?? [];

  const failed: string[] = [];
  for (const command of wanted) {
    const program = shell(command.replace('wrun_…', runId));
    const service = SERVICES.find(([pattern]) => pattern.test(command));
    if (service) {
      await program.says(service[1]);
      program.interrupt();
    }
    const { exitCode, stderr } = await run(program);
    // After Ctrl+C the shell has none of its own.
    if (!service && exitCode !== 0) failed.push(`${command} ended with ${exitCode}:\n${stderr}`);
    if (stderr.includes('    at ')) failed.push(`${command} shows a stack trace:\n${stderr}`);
  }
  expect(failed).toEqual([]);
  const results = JSON.parse(await readFile(join(checkout, 'result.json'), 'utf8')) as { runs: unknown[] };
  expect(results.runs).toHaveLength(2);
});

test('every SQL statement of the README and of the operations runs on a database that was set up', async () => {
  const database = await createTestDatabase();
  const statements = blocks('sql', readme + operations).flatMap((block) =>
    block.split(';').filter((sql) => sql.trim() !== ''),
  );
  expect(statements.length).toBeGreaterThan(3);
  for (const statement of statements) await database.query(statement);
});

test('the README names every npm script, and no other', async () => {
  const { scripts } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as { scripts: object };
  const named = new Set([...readme.matchAll(/npm run (?:-s )?([\w:-]*\w)/g)].map(([, name]) => name));
  if (readme.includes('npm test')) named.add('test');

  // npm runs that one by itself.
  const forReaders = Object.keys(scripts).filter((name) => name !== 'postinstall');
  expect([...named].toSorted()).toEqual(forReaders.toSorted());
});

test("the README's configuration table lists every variable with its default", () => {
  const rows = [...readme.matchAll(/^\| `((?:WORKFLOW|ANTHROPIC)_\w+)` +\| (.*?) +\|/gm)];
  const defaults = Object.fromEntries(rows.map(([, name, value]) => [name, /^`(.*)`$/.exec(value ?? '')?.[1]]));
  const actual = environmentSchema.parse({}) as Record<string, string | number | undefined>;

  expect(Object.keys(defaults).toSorted()).toEqual(Object.keys(environmentSchema.shape).toSorted());
  for (const [name, value] of Object.entries(defaults)) {
    expect([name, value]).toEqual([name, actual[name]?.toString()]);
  }
});

test('every error text of the troubleshooting table is one that the program writes', () => {
  const lines = execFileSync('git', ['grep', '-h', '', '--', '*.ts', ':!tests'], { cwd: PROJECT }).toString();
  const source = lines.replaceAll('${variable}', 'WORKFLOW_POSTGRES_URL');
  const table = /## Troubleshooting\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? '';
  const texts = [...table.matchAll(/^\| `(.*?)` +\|/gm)].map(([, text = '']) => text);
  expect(texts.length).toBeGreaterThan(8);
  for (const text of texts) {
    // What stands for a value, and what comes from Node, is not ours.
    const parts = text.split(/…|ECONNREFUSED/).map((part) => part.trim());
    for (const part of parts) expect(source).toContain(part);
  }
});

test('the lines that change the model of a step are those of a test', async () => {
  const models = [...readme.matchAll(/^await answerText\(\{ prompt, (model: .*) \}\);$/gm)].map(([, model]) => model);
  expect(models).toHaveLength(3);
  const tested = await read('tests/fixtures/model-workflows.ts');
  for (const model of models) expect(tested).toContain(model);
});

function blocks(language: string, text = readme): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block = '']) => block,
  );
}
