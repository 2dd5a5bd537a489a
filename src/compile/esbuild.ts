/**
 * What the builder gets for esbuild. The real one writes its errors to stderr by itself, where nobody can
 * put them in order, and does not tell the builder what it has read.
 */
import * as real from 'esbuild';

/** On `globalThis`, because the builder and we may have a copy each of this module. */
const OBSERVER = Symbol.for('postgres-world/esbuild');
const registry = globalThis as typeof globalThis & { [OBSERVER]?: Observer };

/** The builder's own entry, and what it puts in the place of a package (`pseudo:server-only`). */
const NO_FILE = /^(virtual-entry\.js$|[\w-]{2,}:)/;

export interface Observer {
  plugin: real.Plugin;
  /** The files that were read for a bundle, relative to the project. */
  onInputs(files: string[]): void;
}

export function observe(observer: Observer): void {
  registry[OBSERVER] = observer;
}

export async function context(options: real.BuildOptions): Promise<real.BuildContext> {
  const { plugin, onInputs } = registry[OBSERVER]!;
  const plugins = [plugin, ...(options.plugins ?? [])];
  // Nobody comes after us who would compile JSX; tsconfig.json says how.
  const { jsx: _preserve, ...rest } = options;
  const built = await real.context({ ...rest, plugins, logLevel: 'silent', metafile: true });
  return {
    ...built,
    async rebuild() {
      const result = await built.rebuild();
      onInputs(Object.keys(result.metafile.inputs).filter((name) => !NO_FILE.test(name)));
      return result;
    },
  };
}

export const { build, stop } = real;
