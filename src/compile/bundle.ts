import { resolve } from 'node:path';
import type { Metafile } from 'esbuild';
import { createBuilder, importBuilders, type Discovered } from './builder.ts';
import { explainFailure } from './build-failure.ts';
import { findForgotten } from './forgotten.ts';
import { findUncompiled } from './uncompiled.ts';
import { createSourceCheck, type SourceCheck } from './check-sources.ts';
import { observe, stop } from './esbuild.ts';
import { refuse } from './mistakes.ts';
import type { WorkflowsByFile } from './workflow-names.ts';

export interface Bundled {
  workflows: WorkflowsByFile;
  /** Every file that was read for the bundles. */
  inputs: string[];
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Writes `flow.mjs` and `step.mjs` into `output`; one after the other in a process, because the builder and
 * esbuild keep what they are doing in module variables.
 * @throws ConfigError with every mistake in the sources, or what else keeps them from being compiled
 */
export function bundle(projectRoot: string, files: string[], output: string): Promise<Bundled> {
  const bundled = last.then(() => bundleAlone(projectRoot, files, output));
  last = bundled.catch(() => undefined);
  return bundled;
}

async function bundleAlone(projectRoot: string, files: string[], output: string): Promise<Bundled> {
  const builders = await importBuilders();
  const sources = createSourceCheck(projectRoot, builders.applySwcTransform);
  const inputs = new Set<string>();
  observe({
    plugin: sources.plugin,
    async onBuilt(metafile, which) {
      for (const file of filesOf(metafile)) inputs.add(resolve(projectRoot, file));
      // Before the builder warns of what comes of it.
      if (which === 'workflows') refuse(findForgotten(projectRoot, await sources.all(), metafile), projectRoot);
    },
  });
  const builder = createBuilder(builders, projectRoot, files, output);
  const found = await builder.discover();
  await checkFound(found, files, sources);
  try {
    const { workflows = {}, steps: calledSteps = {} } = await builder.bundleWorkflows(found);
    addStepFiles(found, Object.keys(calledSteps), projectRoot, inputs);
    const { steps = {} } = await builder.bundleSteps(found);
    refuse(await findUncompiled({ projectRoot, files, output, workflows, steps, inputs, sources }), projectRoot);
    return { workflows, inputs: [...inputs] };
  } catch (error) {
    // In place of what the build made of them.
    refuse(sources.mistakes(), projectRoot);
    throw explainFailure(error);
  } finally {
    // Where a build failed, the builder leaves its process behind, which would keep ours from ending.
    void stop();
  }
}

/** The builder overlooks what does not stand in a line of its own; the syntax tree does not. */
async function checkFound(found: Discovered, files: string[], sources: SourceCheck): Promise<void> {
  const own = [...files, ...found.discoveredWorkflows, ...found.discoveredSteps].filter(isOwn);
  for (const file of new Set(own)) {
    const { ofFile, functions } = (await sources.check(file)).directives;
    const has = new Set([ofFile, ...functions.map(({ directive }) => directive)]);
    if (has.has('use workflow')) found.discoveredWorkflows.add(file);
    if (has.has('use step')) found.discoveredSteps.add(file);
  }
}

/** Of all files that the workflows import, however they name them: `./steps.js` may be steps.ts. */
function addStepFiles(found: Discovered, names: string[], projectRoot: string, inputs: Set<string>): void {
  for (const name of names) {
    const file = resolve(projectRoot, name);
    if (isOwn(file) && inputs.has(file)) found.discoveredSteps.add(file);
  }
}

/** Without the builder's own entry, and what it puts in the place of a package (`pseudo:server-only`). */
function filesOf({ inputs }: Metafile): string[] {
  return Object.keys(inputs).filter((name) => !/^(virtual-entry\.js$|[\w-]{2,}:)/.test(name));
}

function isOwn(file: string): boolean {
  return !file.includes('/node_modules/');
}
