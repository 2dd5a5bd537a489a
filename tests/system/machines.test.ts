import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MachineProject, type Machine } from '../support/machine.ts';
import { listProcesses } from '../support/processes.ts';
import { run } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Settings that have nothing to do with each other share a row, since each takes a quarter of a minute. */
const MACHINES: Record<string, Machine> = {
  'no LANG, umask 077, no ps, 45 minutes off, a blank, an umlaut and & in the path': {
    folder: 'Wörld & Co',
    umask: '077',
    withoutPs: true,
    env: { TZ: 'Asia/Kathmandu' },
  },
  'LC_ALL=C, shell syntax in the path': { folder: '$HOME `id` $(id) %41 "\' ;|<>', env: { LC_ALL: 'C' } },
  'de_DE.UTF-8': { folder: 'project', env: { LANG: 'de_DE.UTF-8', LANGUAGE: 'de' } },
};

/** `MACHINES=first` where time is short, as in .ci/run. */
const rows = Object.entries(MACHINES).slice(0, process.env.MACHINES === 'first' ? 1 : undefined);

const locales = mkdtempSync(join(tmpdir(), 'postgres-world-locales-'));
let project: MachineProject;

beforeAll(async () => {
  project = await MachineProject.create();
});

afterAll(async () => {
  await project[Symbol.asyncDispose]();
  rmSync(locales, { recursive: true });
});

describe('the first command of the README, and the crash example, as an ordinary user without a HOME to write to', () => {
  test.each(rows)('%s', async (_, machine) => {
    const folder = await project.moveTo(machine);
    const env = { ...machine.env, ...(machine.env?.LANG ? compileLocale(machine.env.LANG) : {}) };

    const example = await run(await project.start({ ...machine, env }, 'example:postgres-world'));
    expect(example).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('    at ') });
    expect(example.stderr).toContain(`PostgreSQL: embedded, data in ${join(folder, '.postgres')}`);
    expect(example.stdout).toMatch(/^✓ contentAnalysisWorkflow completed in [\d.]+ s$/m);
    expect(example.stdout).toMatch(/^ {2}tokens +[\d,]+ in, [\d,]+ out, 3 calls$/m);
    expect(example.stdout).toMatch(/^ {2}cost +\$\d\.\d{4} if it were real; nothing was paid$/m);

    const crash = await run(await project.start({ ...machine, env }, 'example:postgres-world:crash'));
    expect(crash).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('    at ') });
    expect(crash.stdout).toMatch(/^ {2}research \w+ +✓ completed +reused +1 +1$/m);
    expect(crash.stdout).toMatch(/^ {2}research \w+ +✗ cut off +repeated +2 +2$/m);

    const left = async () => (await listProcesses()).filter(({ command }) => command.includes(folder));
    await until('no process of it is left', async () => (await left()).length === 0, 15_000);
  });
});

test.each(['#', '?', '*', '\n'])('a %j in the path is named in one line, with code 1', async (character) => {
  const machine = { folder: `C${character}` };
  const folder = await project.moveTo(machine);
  for (const script of ['example:postgres-world', 'example:postgres-world:crash', 'dev']) {
    const { exitCode, stderr } = await run(await project.start(machine, script));
    const named = `There is a ${JSON.stringify(character)} in the path of this folder, `;
    expect({ script, exitCode, stderr }).toEqual({ script, exitCode: 1, stderr: expect.stringMatching(/^.*\n$/) });
    expect(stderr).toContain(named);
    expect(stderr).toContain(JSON.stringify(`${folder}/`));
  }
});

test.runIf(process.getuid?.() === 0)('a user without a name, whom PostgreSQL refuses, is told so', async () => {
  const machine = { folder: 'container', uid: 54321 };
  const folder = await project.moveTo(machine);
  const { exitCode, stderr } = await run(await project.start(machine, 'example:postgres-world'));
  expect({ exitCode, lines: stderr.trim().split('\n') }).toEqual({
    exitCode: 1,
    lines: [
      `PostgreSQL cannot make its data in ${join(folder, '.postgres/data.unfinished')}:`,
      '  initdb: could not look up effective user ID 54321: user does not exist',
      '  Mend that, or set WORKFLOW_POSTGRES_URL to a server of your own.',
    ],
  });
});

/** Made from its source, if the machine has that; else it is a locale that is set and not installed, as is common. */
function compileLocale(name: string): Record<string, string> {
  const [language = '', encoding = ''] = name.split('.');
  try {
    execFileSync('localedef', ['-c', '-i', language, '-f', encoding, join(locales, name)], { stdio: 'ignore' });
    return { LOCPATH: locales };
  } catch {
    return {};
  }
}
