import { readFile, rename, utimes, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileWorkflows } from '../src/compile/compile.ts';
import { createCheckout } from './support/checkout.ts';
import { createTestDatabase } from './support/database.ts';
import { areGone, descendantsOf, listProcesses } from './support/processes.ts';
import { run, startCommand, startProgram } from './support/program.ts';
import { until } from './support/until.ts';

const WORKFLOWS = `
import { setTimeout as delay } from 'node:timers/promises';
import { createHook } from 'workflow';

export async function greetingWorkflow(name: string) {
  'use workflow';
  const greeting = await greet(name);
  if (name === 'patient') await createHook({ token: 'patience' });
  return greeting + ' from the first version';
}

async function greet(name: string) {
  'use step';
  if (name === 'stuck') await delay(600_000);
  return 'Hello ' + name;
}
`;

test('a change of a step is used by the next execution, and the run that was in flight completes with it', async () => {
  const { dev, edit, start, result, until: wait } = await startDev();
  const stuck = await start('stuck');
  await wait('its step is being executed', `SELECT FROM workflow_steps WHERE status = 'running'`);

  await edit('await delay(600_000)', 'await delay(1)');
  await dev.says('Changed: workflow-example.ts');

  expect(await result(stuck)).toBe('Hello stuck from the first version');
  expect(dev.stderr).not.toContain('goes on with');
  await until('the worker before has ended', async () => (await workersOf(dev.pid)).length === 1);
});

test('a run that was begun before a change of the workflow completes with the old code, a run after it uses the new', async () => {
  const { dev, edit, start, result, resume, until: wait } = await startDev();
  const patient = await start('patient');
  await wait('it waits for its hook', 'SELECT FROM workflow_hooks');

  await edit('the first version', 'the second version');
  await dev.says(/Code \w+-simulated goes on with the 1 unfinished run that it began/);
  const quick = await start('quick');

  expect(await result(quick)).toBe('Hello quick from the second version');
  expect(await workersOf(dev.pid)).toHaveLength(2);
  await resume('patience');
  expect(await result(patient)).toBe('Hello patient from the first version');
  await dev.says('has no unfinished run left; its worker has ended');
  expect(await workersOf(dev.pid)).toHaveLength(1);
});

test('a syntax error is shown, and the worker before goes on', async () => {
  const { dev, edit, start, result } = await startDev();
  const [before] = await workersOf(dev.pid);

  await edit("'use workflow';", "'use workflow' oops;");
  await dev.says('✗ The worker did not start. The one before goes on');

  expect(dev.stderr).toMatch(/workflow-example\.ts:\d+/);
  expect(await workersOf(dev.pid)).toEqual([before]);
  await edit("'use workflow' oops;", "'use workflow';");
  await until('the corrected code is served', () => dev.stderr.match(/Serving the runs/g)?.length === 2);
  expect(await result(await start('quick'))).toBe('Hello quick from the first version');
});

test('Ctrl+C stops every worker and the embedded server, and says which runs wait for their code', async () => {
  const { checkout } = await createCheckout(0o755);
  await writeFile(join(checkout, 'workflow-example.ts'), WORKFLOWS);
  const npm = startCommand('npm', ['run', 'dev'], { cwd: checkout, group: true });
  await npm.says('Serving the runs of code');
  await startRun(checkout, {}, 'patient');
  await change(checkout, 'the first version', 'the second version');
  await npm.says('goes on with the 1 unfinished run that it began');
  const processes = await descendantsOf(npm.pid);

  npm.interrupt();
  await npm.exited;

  expect(npm.stderr).toMatch(/1 unfinished run of code \w+-simulated: waiting in the database for that code/);
  expect(npm.stderr).not.toContain('✗');
  await until('all are gone', () => areGone(processes), 1_000);
});

test('when the supervisor is killed, its workers hand their work back and end', async () => {
  const { dev, start, until: wait, query } = await startDev();
  await start('stuck');
  await wait('its step is being executed', `SELECT FROM workflow_steps WHERE status = 'running'`);
  const workers = await workersOf(dev.pid);

  dev.kill('SIGKILL');

  await until('the worker is gone', () => areGone(workers), 6_000);
  expect(await query(`SELECT FROM workflow_queue.job WHERE state = 'active'`)).toEqual([]);
});

test('compiled code that nobody used for a day is removed, and the current one is not', async () => {
  const { checkout } = await createCheckout(0o755);
  const compile = () => compileWorkflows(checkout, [join(checkout, 'workflow-example.ts')]);
  await compile();
  const bundles = join(checkout, '.workflow');
  const before = await readdir(bundles);
  await mkdir(join(bundles, 'forgotten'));
  const twoDaysAgo = new Date(Date.now() - 2 * 24 * 3_600_000);
  for (const name of await readdir(bundles)) await utimes(join(bundles, name), twoDaysAgo, twoDaysAgo);

  await compile();

  expect(await readdir(bundles)).toEqual(before);
});

/** `npm run dev` in a checkout whose workflows are those above, on a database of its own. */
async function startDev() {
  const database = await createTestDatabase();
  const env = { WORKFLOW_POSTGRES_URL: database.url };
  const { checkout } = await createCheckout(0o755);
  await writeFile(join(checkout, 'workflow-example.ts'), WORKFLOWS);
  const dev = startProgram('src/dev/supervisor.ts', [], { cwd: checkout, env });
  await dev.says('Serving the runs of code');
  return {
    dev,
    checkout,
    query: database.query,
    edit: (before: string, after: string) => change(checkout, before, after),
    start: (name: string) => startRun(checkout, env, name),
    result: async (runId: string) => (await ask(checkout, env, 'result', runId)) as string,
    resume: (token: string) => ask(checkout, env, 'resume', token, '{}'),
    until: (what: string, sql: string) => until(what, async () => (await database.query(sql)).length > 0),
  };
}

/** Saves as most editors do: another file takes the place of the old one. */
async function change(checkout: string, before: string, after: string): Promise<void> {
  const file = join(checkout, 'workflow-example.ts');
  const changed = (await readFile(file, 'utf8')).replace(before, after);
  await writeFile(`${file}~`, changed);
  await rename(`${file}~`, file);
}

async function startRun(checkout: string, env: Record<string, string>, name: string): Promise<string> {
  const [runId = ''] = (await ask(checkout, env, 'start', 'greetingWorkflow', JSON.stringify([name]))) as string[];
  return runId;
}

/** A process with the code of the checkout that takes no work. */
async function ask(checkout: string, env: Record<string, string>, ...args: string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await run(
    startProgram('tests/fixtures/process.ts', args, {
      cwd: checkout,
      env: { ...env, TEST_WORKFLOWS: '../../workflow-example.ts' },
    }),
  );
  if (exitCode !== 0) throw new Error(`${args[0]} ended with ${exitCode}:\n${stderr}`);
  return stdout ? JSON.parse(stdout.trim().split('\n').at(-1) ?? '') : undefined;
}

async function workersOf(supervisor: number) {
  const processes = await listProcesses();
  return processes.filter(({ parent, command }) => parent === supervisor && command.includes('src/dev/worker.ts'));
}
