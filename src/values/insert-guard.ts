import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** As the builder writes it. */
const BEGINNING = '\nconst workflowCode = `';

/**
 * Puts `workflow-guard.ts` before the code of the workflows, in their first line: those of the source map stay. It is
 * no part of the code version: it changes no run that could be recorded.
 * @param bundle `flow.mjs`
 */
export async function insertGuard(bundle: string): Promise<void> {
  const [guard, text] = await Promise.all([buildGuard(), readFile(bundle, 'utf8')]);
  const parts = text.split(BEGINNING);
  if (parts.length !== 2) throw new Error(`${bundle} does not look as the builder of Workflow DevKit writes it`);
  await writeFile(bundle, parts.join(BEGINNING + guard.replace(/[\\`$]/g, '\\$&')));
}

/** At once, in a process of its own: esbuild's other one is ended by whoever compiles with it. */
async function buildGuard(): Promise<string> {
  // Loaded only where there is something to compile.
  const { buildSync } = await import('esbuild');
  const entryPoints = [fileURLToPath(import.meta.resolve('./workflow-guard.ts'))];
  const output = { bundle: true, format: 'iife', platform: 'neutral', target: 'es2022', write: false } as const;
  const { outputFiles } = buildSync({ ...output, entryPoints, minifyWhitespace: true, minifySyntax: true });
  return outputFiles[0]!.text.trim();
}
