import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { generateText } from 'ai';
import { createClaudeCode } from 'ai-sdk-provider-claude-code';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cliPath } from '../src/model/cli.ts';
import type { CliStart } from '../src/model/cli-process.ts';
import { classify } from '../src/model/failure.ts';
import { spawnCli } from '../src/model/spawn-cli.ts';
import { createSpares, type Spares } from '../src/model/spares.ts';
import { createTurns, type Turns } from '../src/model/turns.ts';
import { setCurrent, type RunningWorld } from '../src/runtime/current-world.ts';
import { descendantsOf } from './support/processes.ts';
import { until } from './support/until.ts';

const MINUTE = 60_000;

/** As the provider gives them. */
const ARGS = `--output-format stream-json --verbose --input-format stream-json --model sonnet --setting-sources=
  --strict-mcp-config --no-session-persistence --tools`.split(/\s+/);

let home: string;
let call: CliStart;
let turns: Turns;
let stopping: AbortController;
let spares: Spares;

beforeEach(async () => {
  // Not those of `until`: a minute passes when the test says so.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  home = await mkdtemp(join(tmpdir(), 'postgres-world-home-'));
  const env = { PATH: process.env.PATH, HOME: home, CLAUDE_CONFIG_DIR: home, ANTHROPIC_API_KEY: 'the-key' };
  call = { command: cliPath(), args: [...ARGS, ''], env };
  turns = createTurns(() => 1);
  stopping = new AbortController();
  setCurrent({ config: { worker: true, modelSpares: 2 }, stopping: stopping.signal } as RunningWorld);
  spares = createSpares(turns);
});

afterEach(async () => {
  stopping.abort();
  setCurrent(undefined);
  vi.useRealTimers();
  await until('all have ended', async () => {
    const left = await pids();
    for (const pid of left) kill(pid);
    return left.length === 0;
  });
  await rm(home, { recursive: true, maxRetries: 5 });
});

test('the process of the next call is ready, in an empty directory of its own, and is used once', async () => {
  const first = spares.obtain(call);
  vi.advanceTimersByTime(249);
  expect(await pids()).toEqual([first.child.pid]);
  const ready = await nextOne();
  const second = spares.obtain(call);
  const third = spares.obtain(call);

  expect(second.child.pid).toBe(ready);
  expect(third.child.pid).not.toBe(ready);
  const all = [first, second, third];
  expect(new Set(all.map(({ cwd }) => cwd)).size).toBe(3);
  for (const { cwd } of all) expect([await readdir(cwd), (await stat(cwd)).mode & 0o777]).toEqual([[], 0o700]);
  for (const { child } of all) child.kill('SIGKILL');
  await until('their directories are gone', () => all.every(({ cwd }) => !existsSync(dirname(cwd))));
});

test.each<[what: string, change: (call: CliStart) => CliStart | Promise<CliStart>]>([
  ['model', (it) => ({ ...it, args: it.args.map((arg) => (arg === 'sonnet' ? 'opus' : arg)) })],
  ['key', (it) => ({ ...it, env: { ...it.env, ANTHROPIC_API_KEY: 'another-key' } })],
  ['variable', (it) => ({ ...it, env: { ...it.env, ANTHROPIC_CUSTOM_HEADERS: 'x-own: given' } })],
  ['API', (it) => ({ ...it, env: { ...it.env, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' } })],
  ['simulation', (it) => ({ ...it, simulatedApiUrl: 'http://127.0.0.1:9' })],
  ['stored login', (it) => logIn(it, 'sk-another')],
  ['version of the CLI', (it) => install(it, 'another')],
])('a call with another %s gets a process of its own', async (_, change) => {
  const before = await logIn(await install(call, 'this'), 'sk-one');
  spares.obtain(before);
  const ready = await nextOne();

  expect(spares.obtain(await change(before)).child.pid).not.toBe(ready);
});

test.skipIf(process.platform !== 'linux')(
  'a process that has died, or whose directory is not as it was, is not given to a call',
  async () => {
    spares.obtain(call);
    const spoil: ((pid: number) => unknown)[] = [
      async (pid) => {
        process.kill(pid, 'SIGKILL');
        await until('it has died', async () => !(await pids()).includes(pid));
      },
      async (pid) => rm(await directoryOf(pid), { recursive: true }),
      async (pid) => writeFile(join(await directoryOf(pid), 'planted'), ''),
    ];
    for (const spoilIt of spoil) {
      const ready = await nextOne();
      await spoilIt(ready);

      expect(spares.obtain(call).child.pid).not.toBe(ready);
      await until('it is not left alone', async () => !(await pids()).includes(ready));
    }
  },
);

test('a process that dies when it was given to a call fails as any other: the step is tried again', async () => {
  const given: (number | undefined)[] = [];
  const provider = createClaudeCode({
    defaultSettings: {
      tools: [],
      settingSources: [],
      persistSession: false,
      logger: false,
      env: { ...call.env, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' },
      spawnClaudeCodeProcess(options) {
        const child = spawnCli(options, { spares, signal: stopping.signal }) as ChildProcess;
        given.push(child.pid);
        process.kill(child.pid!, 'SIGKILL');
        return child as ReturnType<typeof spawnCli>;
      },
    },
  });
  const ask = () => generateText({ model: provider('sonnet'), prompt: 'Hi', maxRetries: 0 }).catch(classify);

  const failures = [await ask()];
  const ready = await nextOne();
  failures.push(await ask());
  expect(given[1]).toBe(ready);
  expect(failures).toEqual([1, 2].map(() => ({ what: 'No answer from Claude' })));
});

test('what a process wrote before it was given to a call is not lost', async () => {
  const says = await install(call, 'x\necho early; echo trouble >&2');
  spares.obtain(says);
  const ready = await nextOne();
  const { child } = spares.obtain(says);
  expect(child.pid).toBe(ready);

  const said = await Promise.all([child.stdout, child.stderr].map((stream) => once(stream, 'data')));
  expect(said.map(String)).toEqual(['early\n', 'trouble\n']);
});

test('a process that nobody wants for a minute ends; one that is used does not', async () => {
  const used = spares.obtain(call);
  const ready = await nextOne();
  vi.advanceTimersByTime(MINUTE - 1);
  const taken = spares.obtain(call);
  expect(taken.child.pid).toBe(ready);
  const next = await nextOne();
  vi.advanceTimersByTime(MINUTE);

  await until('the next one is gone', async () => !(await pids()).includes(next));
  vi.advanceTimersByTime(MINUTE);
  expect((await pids()).toSorted()).toEqual([used, taken].map(({ child }) => child.pid).toSorted());
});

test('there are no more of them than the setting says, and none once the worker stops', async () => {
  const models = ['sonnet', 'opus', 'haiku'];
  const of = (model: string) => ({ ...call, args: call.args.map((arg) => (arg === 'sonnet' ? model : arg)) });
  const used = models.map((model) => spares.obtain(of(model)).child.pid);
  const ready = [await nextOne(), await nextOne(1_000)];
  vi.advanceTimersByTime(10_000);
  expect((await pids()).toSorted()).toEqual([...used, ...ready].toSorted());
  stopping.abort();

  await until('they are gone', async () => (await pids()).length === used.length);
  spares.obtain(call);
  vi.advanceTimersByTime(10_000);
  expect(await pids()).toHaveLength(used.length + 1);
});

test('none is started while a call starts or waits to', async () => {
  const giveTurn = await turns.take(new AbortController().signal);
  const used = spares.obtain(call);
  vi.advanceTimersByTime(10_000);
  expect(await pids()).toEqual([used.child.pid]);
  giveTurn();
  await nextOne();
});

test.each([['--resume=5fb5c7a8'], ['--session-id=5fb5c7a8'], ['--mcp-config', '{}'], ['--setting-sources=user']])(
  'none is started for a call whose process does something by being started: %s',
  async (...option) => {
    const used = spares.obtain({ ...call, args: [...option, ...call.args] });
    vi.advanceTimersByTime(10_000);
    expect(await pids()).toEqual([used.child.pid]);
  },
);

/** That of the process which is started ahead when so much time has passed. */
async function nextOne(ms = 250): Promise<number> {
  const before = await pids();
  vi.advanceTimersByTime(ms);
  return until('a process is ready', async () => (await pids()).find((pid) => !before.includes(pid)));
}

async function pids(): Promise<number[]> {
  const all = await descendantsOf(process.pid);
  return all.filter(({ command }) => command.includes('/claude ')).map(({ pid }) => pid);
}

/** One that is ending already, perhaps. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** In which it works. */
const directoryOf = (pid: number) => readlink(`/proc/${pid}/cwd`);

/** With `npm run claude:login`, for an API key. */
async function logIn(it: CliStart, primaryApiKey: string): Promise<CliStart> {
  await writeFile(join(home, '.claude.json'), JSON.stringify({ primaryApiKey }));
  return it;
}

async function install(it: CliStart, version: string): Promise<CliStart> {
  const command = join(home, 'claude');
  await writeFile(command, `#!/bin/sh\n# ${version}\nexec ${cliPath()} "$@"\n`);
  await chmod(command, 0o755);
  return { ...it, command };
}
