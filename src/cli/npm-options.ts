import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './usage-error.ts';

/**
 * Options without `--` before them are npm's: it keeps them in its variables, and the command never sees them.
 * @param file the program, as the npm script names it: below another program, the variables are that one's
 * @param names the options of the command
 * @throws UsageError
 */
export function refuseOptionsOfNpm(file: string, names: readonly string[], env = process.env): void {
  if (!env.npm_lifecycle_script?.split(' ').includes(file)) return;
  const taken = names.filter((name) => env[variableOf(name)] && !isConfigured(name, env)).map((name) => `--${name}`);
  if (taken.length === 0) return;
  const command = `npm run ${env.npm_lifecycle_event} -- ${taken.join(' ')}`;
  throw new UsageError(`npm took ${taken.join(' and ')}: write  ${command}`);
}

function variableOf(name: string): string {
  return `npm_config_${name.replaceAll('-', '_')}`;
}

/** Some of the names are settings of npm, too, which its files may have for all commands. */
function isConfigured(name: string, env: NodeJS.ProcessEnv): boolean {
  const project = env.npm_config_local_prefix && join(env.npm_config_local_prefix, '.npmrc');
  return [env.npm_config_userconfig, env.npm_config_globalconfig, project].some(
    (file) => file && existsSync(file) && settingsOf(file).includes(name),
  );
}

function settingsOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split('=', 1)[0]!.trim());
}
