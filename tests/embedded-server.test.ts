import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createCheckout, postmasters } from './support/checkout.ts';
import { run, startProgram } from './support/program.ts';

const asRoot = process.getuid?.() === 0;

test('two processes share one embedded server, and the last one to leave stops it', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o755);
  const start = () => startProgram('index.ts', ['worker'], { cwd: checkout });
  const [first, second] = [start(), start()];
  await Promise.all([first.says('Worker: takes the runs'), second.says('Worker: takes the runs')]);
  expect(await postmasters(serverDirectory)).toHaveLength(1);

  first.kill('SIGTERM');
  expect(await first.exited).toBe(143);
  expect(await postmasters(serverDirectory)).toHaveLength(1);

  second.kill('SIGTERM');
  expect(await second.exited).toBe(143);
  expect(await postmasters(serverDirectory)).toEqual([]);
});

test('a server that a killed process left behind is adopted, and stopped in the end', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o755);
  const victim = startProgram('index.ts', ['worker'], { cwd: checkout });
  await victim.says('Worker: takes the runs');
  victim.kill('SIGKILL');
  await victim.exited;
  const [left] = await postmasters(serverDirectory);
  const heir = startProgram('index.ts', ['worker'], { cwd: checkout });
  await heir.says('Worker: takes the runs');
  expect(await postmasters(serverDirectory)).toEqual([left]);

  heir.kill('SIGTERM');
  await heir.exited;
  expect(await postmasters(serverDirectory)).toEqual([]);
});

test('a server that was killed is replaced by one on the same data', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o755);
  const before = startProgram('index.ts', ['worker'], { cwd: checkout });
  await before.says('Worker: takes the runs');
  const [server] = await postmasters(serverDirectory);
  process.kill(server!.pid, 'SIGKILL');
  before.kill('SIGKILL');
  await before.exited;

  const { exitCode, stdout } = await run(startProgram('setup-db.ts', [], { cwd: checkout }));

  expect(exitCode).toBe(0);
  expect(stdout).toContain('workflow.workflow_runs');
  expect(await postmasters(serverDirectory)).toEqual([]);
});

test.runIf(asRoot)('in a checkout that only root can enter, the data is outside and the output names it', async () => {
  const { checkout, serverDirectory } = await createCheckout(0o700);
  const { exitCode, stdout } = await run(startProgram('setup-db.ts', [], { cwd: checkout }));

  expect(exitCode).toBe(0);
  const [, directory = ''] = /data in ([^)]+)\)/.exec(stdout) ?? [];
  expect(directory).toBe(serverDirectory);
  expect(directory).not.toContain(checkout);
  expect((await stat(join(directory, 'data'))).isDirectory()).toBe(true);
  expect((await stat(join(directory, 'password'))).mode & 0o077).toBe(0);
  expect(await postmasters(serverDirectory)).toEqual([]);
});
