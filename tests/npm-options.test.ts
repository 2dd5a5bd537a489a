import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { refuseOptionsOfNpm } from '../src/cli/npm-options.ts';
import { run, startCommand } from './support/program.ts';

const STATUS = { npm_lifecycle_script: 'tsx index.ts status', npm_lifecycle_event: 'postgres-world:status' };
const refuse = (env: NodeJS.ProcessEnv) => () => refuseOptionsOfNpm('index.ts', ['json', 'older-than', 'approve'], env);

test('an option that npm took is refused, with what to write', async () => {
  const { exitCode, stderr } = await run(startCommand('npm', ['run', 'example:postgres-world', '--approve']));

  expect(exitCode).toBe(2);
  expect(stderr).toContain('npm took --approve: write  npm run example:postgres-world -- --approve');
});

test('all that npm took are named', () => {
  expect(refuse({ ...STATUS, npm_config_json: 'true', npm_config_older_than: '30d' })).toThrow(
    'npm took --json and --older-than: write  npm run postgres-world:status -- --json --older-than',
  );
});

test('what npm was told for another program, or by its files, is no mistake', () => {
  const directory = mkdtempSync(join(tmpdir(), 'npm-options-'));
  const npmrc = join(directory, 'npmrc');
  writeFileSync(npmrc, 'json = true\n');

  expect(refuse({ npm_lifecycle_script: 'vitest run', npm_config_json: 'true' })).not.toThrow();
  expect(refuse({ ...STATUS, npm_config_json: 'true', npm_config_userconfig: npmrc })).not.toThrow();
  expect(refuse({ ...STATUS, npm_config_json: '' })).not.toThrow();
  expect(refuse({ npm_config_json: 'true' })).not.toThrow();

  rmSync(directory, { recursive: true });
});
