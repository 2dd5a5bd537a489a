import { registerHooks } from 'node:module';
import { join } from 'node:path';
import type * as builders from '@workflow/builders';

type Builders = typeof builders;

/** Loaded only where something is to be compiled: it takes a quarter of a second. */
export async function importBuilders(): Promise<Builders> {
  const ours = import.meta.resolve('./esbuild.ts');
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'esbuild' && context.parentURL?.includes('/@workflow/builders/')
        ? next(ours, context)
        : next(specifier, context),
  });
  try {
    return await import('@workflow/builders');
  } finally {
    hooks.deregister();
  }
}

type Builder = ReturnType<typeof createBuilder>;

/** @param inputFiles absolute paths below `projectRoot`; the ids of workflows and steps are their relative ones */
export function createBuilder({ BaseBuilder }: Builders, projectRoot: string, inputFiles: string[], output: string) {
  class WorkflowBuilder extends BaseBuilder {
    constructor() {
      super({
        // The target whose output is bundles and nothing else.
        buildTarget: 'next',
        dirs: ['.'],
        workingDir: projectRoot,
        stepsBundlePath: '',
        workflowsBundlePath: '',
        webhookBundlePath: '',
        suppressCreateWorkflowsBundleLogs: true,
        suppressCreateManifestLogs: true,
      } satisfies builders.WorkflowConfig);
    }

    override build(): Promise<void> {
      throw new Error('Call bundleWorkflows and bundleSteps.');
    }

    /** Files with workflows and steps among the inputs and what they import. The builder looks for lines that look like it. */
    discover() {
      return this.discoverEntries(inputFiles, output);
    }

    async bundleWorkflows(discoveredEntries: Discovered) {
      const outfile = join(output, 'flow.mjs');
      const options = { inputFiles, format: 'esm', discoveredEntries, outfile, bundleFinalOutput: false } as const;
      return (await this.createWorkflowsBundle(options)).manifest;
    }

    async bundleSteps(discoveredEntries: Discovered) {
      const { manifest } = await this.createStepsBundle({
        inputFiles,
        format: 'esm',
        discoveredEntries,
        outfile: join(output, 'step.mjs'),
        // Imports stay imports: the steps share their modules with this process.
        externalizeNonSteps: true,
        bundleTransitiveLocalStepDependencies: false,
      });
      return manifest;
    }
  }
  return new WorkflowBuilder();
}

export type Discovered = Awaited<ReturnType<Builder['discover']>>;
