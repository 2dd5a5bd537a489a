/**
 * What the builder gets for esbuild. The real one writes its errors to stderr by itself, where nobody can
 * put them in order, and does not tell the builder what it has read.
 */
import { builtinModules } from 'node:module';
import * as real from 'esbuild';

/** On `globalThis`, because the builder and we may have a copy each of this module. */
const OBSERVER = Symbol.for('postgres-world/esbuild');
const registry = globalThis as typeof globalThis & { [OBSERVER]?: Observer };

export interface Observer {
  plugin: real.Plugin;
  /** What was read for a bundle, and what is in it; throws what ends the build. */
  onBuilt(metafile: real.Metafile, bundle: 'workflows' | 'steps'): Promise<void>;
}

export function observe(observer: Observer): void {
  registry[OBSERVER] = observer;
}

export async function context(options: real.BuildOptions): Promise<real.BuildContext> {
  const { plugin, onBuilt } = registry[OBSERVER]!;
  const bundle = options.platform === 'neutral' ? 'workflows' : 'steps';
  const plugins = [plugin, ...(bundle === 'workflows' ? [platformPlugin] : []), ...(options.plugins ?? [])];
  // Nobody comes after us who would compile JSX; tsconfig.json says how.
  const { jsx: _preserve, ...rest } = options;
  const built = await real.context({ ...rest, plugins, logLevel: 'silent', metafile: true });
  return {
    ...built,
    async rebuild() {
      const result = await built.rebuild();
      await onBuilt(result.metafile, bundle);
      return result;
    },
  };
}

/**
 * Leaves Node's modules outside of the bundle of the workflows, and leaves out those that nobody uses. The
 * builder refuses them by a pattern for the line of the import; forgotten.ts says which function uses one.
 */
const platformPlugin: real.Plugin = {
  name: 'platform',
  setup(build) {
    const filter = new RegExp(`^(node:|bun:|(bun|${builtinModules.join('|')})$)`);
    build.onResolve({ filter }, ({ path }) => ({ path, external: true, sideEffects: false }));
  },
};

export const { build, stop } = real;
