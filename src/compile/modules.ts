import type { CheckedSource } from './check-sources.ts';
import type { ImportGraph } from './import-graph.ts';
import { readNames, type ModuleNames } from './module-names.ts';
import type { FunctionNode, Source } from './source.ts';

/** A file of the project's own. */
export interface Module extends CheckedSource {
  file: string;
  source: Source;
  names: ModuleNames;
}

export interface Place {
  module: Module;
  owner: FunctionNode;
}

export interface Modules {
  all: Module[];
  /** The function that `one` or `A.one` is in a file, through all imports and exports. */
  find(module: Module, root: string, member: string | undefined): Place | undefined;
}

export function readModules(sources: Map<string, CheckedSource>, graph: ImportGraph): Modules {
  const modules = new Map<string, Module>();
  for (const [file, checked] of sources) {
    const { source } = checked;
    if (source) modules.set(file, { ...checked, file, source, names: readNames(source) });
  }

  const find = (module: Module, root: string, member?: string, seen = new Set<Module>()): Place | undefined => {
    if (module.names.ambiguous.has(root)) return undefined;
    const imported = module.names.imports.get(root);
    if (imported) return findIn(module, imported.from, imported.name === '*' ? member : imported.name, seen);
    const owner = module.names.functions.get(member === undefined ? root : `${root}.${member}`);
    return owner && { module, owner };
  };

  const findIn = (module: Module, from: string, name: string | undefined, seen: Set<Module>): Place | undefined => {
    const target = modules.get(graph.fileOf(module.file, from) ?? '');
    if (!target || seen.has(target) || name === undefined) return undefined;
    seen.add(target);
    const { exports, exportsAllOf } = target.names;
    const exported = exports.get(name);
    if (exported?.from !== undefined) return findIn(target, exported.from, exported.name, seen);
    if (exported) return find(target, exported.name, undefined, seen);
    return exportsAllOf.map((other) => findIn(target, other, name, seen)).find(Boolean);
  };

  return { all: [...modules.values()], find };
}

export function workflowsOf(module: Module): Place[] {
  const { directives, names } = module;
  const isExported = (owner: FunctionNode) => [...names.exports.values()].some(({ name }) => name === owner.name);
  const isWorkflow = (owner: FunctionNode) =>
    directives.functions.some(({ node, directive }) => node === owner.node && directive === 'use workflow') ||
    (directives.ofFile === 'use workflow' && isExported(owner));
  return [...names.functions.values()].filter(isWorkflow).map((owner) => ({ module, owner }));
}

/** A step or a workflow, by a directive of its own or of its file. */
export function isDirected({ module: { directives }, owner }: Place): boolean {
  return directives.ofFile !== undefined || directives.functions.some(({ node }) => node === owner.node);
}
