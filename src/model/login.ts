import { spawnSync } from 'node:child_process';
import { cliPath, NO_SETTINGS } from './cli.ts';
import { cliEnvironment } from './cli-environment.ts';

/** `npm run claude:login`: the login of the CLI that the workflows use, in the user's own configuration. */
const { status } = spawnSync(cliPath(), [NO_SETTINGS, 'auth', 'login', ...process.argv.slice(2)], {
  env: cliEnvironment(),
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
