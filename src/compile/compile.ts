import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { lockFile } from '../postgres/embedded/file-lock.ts';
import { guardSteps } from '../values/guard-steps.ts';
import { insertGuard } from '../values/insert-guard.ts';
import { nameWorkflows, type WorkflowReference } from './workflow-names.ts';
import { findWorkflowFiles } from './workflow-files.ts';

/** `npm run dev` compiles at every change. A running worker has loaded its bundle, and needs the files no more. */
const KEEP_BUNDLES_MS = 24 * 3_600_000;

/** The lock is held for milliseconds. */
const LOCK_PATIENCE_MS = 30_000;

export interface Compiled {
  /** What a replay depends on: a hash of the workflow bundle, 12 hex digits. */
  codeVersion: string;
  /** Function name, or `file.ts#name`, → what `start()` takes; see workflow-names.ts. */
  workflows: Record<string, WorkflowReference>;
  /** Loads both bundles, which register their handlers with the World. */
  load(): Promise<void>;
}

/** For processes that neither start nor execute workflows. */
export const NOT_COMPILED: Compiled = { codeVersion: 'none', workflows: {}, load: async () => undefined };

/**
 * Compiles files with 'use workflow' and 'use step'. Without this step they are plain functions:
 * nothing is stored, and no error says so. About a second.
 * @param inputFiles below `projectRoot`; the ids of workflows and steps are their paths relative to it
 * @throws ConfigError for code that does not compile, with file and line
 */
export async function compileWorkflows(projectRoot: string, inputFiles: string[]): Promise<Compiled> {
  if (inputFiles.length === 0) return NOT_COMPILED;
  const files = await findWorkflowFiles(projectRoot, inputFiles);
  const output = join(projectRoot, '.workflow');
  // Two processes may compile at once: each into a folder of its own, renamed when it is whole.
  const unfinished = join(output, `unfinished-${randomUUID()}`);
  await mkdir(unfinished, { recursive: true });
  try {
    // The compiler is loaded only where there is something to compile.
    const { bundle } = await import('./bundle.ts');
    const { workflows } = await bundle(projectRoot, files, unfinished);
    const codeVersion = await hashWorkflows(join(unfinished, 'flow.mjs'));
    await insertGuard(join(unfinished, 'flow.mjs'));
    const finished = join(output, await hashFiles(unfinished));
    await keepBundle(unfinished, finished);
    return {
      codeVersion,
      workflows: nameWorkflows(workflows),
      async load() {
        // They ask for the World while they are loaded, by this variable.
        process.env.WORKFLOW_TARGET_WORLD = fileURLToPath(import.meta.resolve('../runtime/current-world.ts'));
        for (const file of ['flow.mjs', 'step.mjs']) await import(pathToFileURL(join(finished, file)).href);
        guardSteps();
      },
    };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/**
 * Gives the bundle its name, and removes those of the days before. Under a lock, for all of it: another
 * process must not remove a bundle that we have just found to be there already.
 */
async function keepBundle(unfinished: string, finished: string): Promise<void> {
  const output = dirname(finished);
  using _lock = await lockFile(join(output, 'lock'), LOCK_PATIENCE_MS);
  await rename(unfinished, finished).catch(ignoreExisting);
  const now = new Date();
  await utimes(finished, now, now).catch(ignoreForeign);
  for (const entry of await readdir(output, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(output, entry.name);
    const usedAt = (await stat(folder).catch(() => undefined))?.mtimeMs ?? Infinity;
    if (usedAt < now.getTime() - KEEP_BUNDLES_MS) await rm(folder, { recursive: true }).catch(ignoreForeign);
  }
}

/** Without comments, which hold a source map that changes with the bodies of steps, and paths of this machine. */
async function hashWorkflows(file: string): Promise<string> {
  const source = await readFile(file, 'utf8');
  return digest(source.replace(/^\s*\/\/.*$/gm, '').replace(/"[^"\n]*\bnode_modules\//g, '"node_modules/'));
}

async function hashFiles(directory: string): Promise<string> {
  const bundles = ['flow.mjs', 'step.mjs'].map((bundle) => readFile(join(directory, bundle), 'utf8'));
  return digest((await Promise.all(bundles)).join());
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
}

/** What another user has made is theirs to keep and to remove. */
function ignoreForeign(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPERM' && error.code !== 'EACCES') throw error;
}
