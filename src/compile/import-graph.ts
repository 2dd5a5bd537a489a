import { resolve } from 'node:path';
import type { Metafile } from 'esbuild';

export interface ImportGraph {
  /** The absolute path of what a file imports by this specifier; undefined: the bundle does not have it. */
  fileOf(file: string, from: string): string | undefined;
  /** The module of Node, or the package that needs one, which the bundle still imports for this import. */
  needsPlatform(file: string, from: string, isDynamic: boolean): string | undefined;
}

/** What the files of a bundle import, without what the compiler has left out. */
export function readImports(projectRoot: string, { inputs, outputs }: Metafile): ImportGraph {
  const byFile = new Map(Object.entries(inputs).map(([name, { imports }]) => [resolve(projectRoot, name), imports]));
  const bundles = Object.values(outputs);
  const left = new Set(bundles.flatMap(({ imports }) => imports.map(nameOf)));
  const contained = new Set(bundles.flatMap((output) => Object.keys(output.inputs)));
  /** Only those that import one themselves, at once: what is further down, or is imported later, may never be used. */
  const packages = new Set(
    Object.entries(inputs)
      .filter(
        ([input, { imports }]) =>
          contained.has(input) && imports.some((it) => it.external && !isDynamicImport(it) && left.has(nameOf(it))),
      )
      .map(([input]) => packageOf(input)),
  );
  const find = (file: string, from: string, isDynamic?: boolean) =>
    byFile
      .get(file)
      ?.find(
        (it) => (it.original ?? it.path) === from && (isDynamic === undefined || isDynamicImport(it) === isDynamic),
      );

  return {
    fileOf(file, from) {
      const found = find(file, from);
      return found && !found.external ? resolve(projectRoot, found.path) : undefined;
    },
    needsPlatform(file, from, isDynamic) {
      const found = find(file, from, isDynamic);
      if (!found) return undefined;
      if (found.external) return left.has(nameOf(found)) ? from : undefined;
      const name = packageOf(found.path);
      return name !== undefined && packages.has(name) ? `${name} (which needs Node)` : undefined;
    },
  };
}

/** The bundle has `require()` for `import … from`, but `import()` as it was. */
function nameOf(found: { kind: string; path: string }): string {
  return `${isDynamicImport(found) ? 'import' : 'require'} ${found.path}`;
}

function isDynamicImport({ kind }: { kind: string }): boolean {
  return kind === 'dynamic-import';
}

function packageOf(path: string): string | undefined {
  return /.*(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}
