import { stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { ConfigError } from '../config/config.ts';

const SOURCE = /(?<!\.d)\.[mc]?[jt]sx?$/;

/**
 * The files that are to be compiled, as absolute paths; relative ones count from the working directory.
 * @throws ConfigError with a line for each that cannot be
 */
export async function findWorkflowFiles(projectRoot: string, files: readonly string[]): Promise<string[]> {
  const paths = [...new Set(files.map((file) => resolve(file)))];
  const problems = await Promise.all(paths.map((path) => describeProblem(projectRoot, path)));
  const lines = paths.flatMap((path, index) => (problems[index] ? [`  ${path} ${problems[index]}`] : []));
  if (lines.length > 0) throw new ConfigError(`The workflow files are not usable:\n${lines.join('\n')}`);
  return paths;
}

async function describeProblem(projectRoot: string, path: string): Promise<string | undefined> {
  const below = relative(projectRoot, path);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    return found.code === 'ENOENT' ? 'does not exist' : `cannot be read: ${found.code}`;
  }
  if (!found.isFile()) return 'is no file: name the files in it';
  if (path.includes('#')) return 'has a # in its path, which the compiler takes for its end: rename it';
  if (!SOURCE.test(path)) return 'is neither TypeScript nor JavaScript';
  // Ids are made from the path, and imports are resolved, from this folder.
  if (below.startsWith('..') || isAbsolute(below)) return `is outside of projectRoot, ${projectRoot}: move it there`;
  return undefined;
}
