import { relative } from 'node:path';
import type { Metafile } from 'esbuild';
import type { CheckedSource } from './check-sources.ts';
import { readImports, type ImportGraph } from './import-graph.ts';
import type { Mistake } from './mistakes.ts';
import { isDirected, readModules, workflowsOf, type Module, type Place } from './modules.ts';
import { referencesIn, type Reference } from './references.ts';
import type { Node } from './source.ts';

/** What the runtime's context for workflows has not, and what it offers instead. */
const ONLY_IN_STEPS: Record<string, string> = {
  Buffer: '',
  fetch: `, or import { fetch } from 'workflow'`,
  process: '',
  require: '',
  setImmediate: '',
  setInterval: `, or call sleep() of 'workflow'`,
  setTimeout: `, or call sleep() of 'workflow'`,
};

interface Need {
  what: string;
  instead: string;
}

/**
 * Follows the calls of each workflow through the project's own files, as far as the steps, and finds what only
 * a step may do: the directive of that function was forgotten. What a file imports for its steps alone is none
 * of this, nor is what the compiler has left out.
 */
export function findForgotten(projectRoot: string, sources: Map<string, CheckedSource>, metafile: Metafile): Mistake[] {
  const graph = readImports(projectRoot, metafile);
  const modules = readModules(sources, graph);
  const isProvided = findProvided(modules.all);
  const mistakes = new Map<Node, Mistake>();
  const seen = new Set<Node>();

  /** @param path from the workflow to this function */
  const visit = (path: Place[]) => {
    const { module, owner } = path.at(-1)!;
    if (seen.has(owner.node)) return;
    seen.add(owner.node);
    const isLeftOut = (node: Node) => node !== owner.node && module.directives.functions.some((it) => it.node === node);
    for (const reference of referencesIn(owner.node, isLeftOut)) {
      const need = describeNeed(reference, module, graph, isProvided);
      if (need) report(reference.node, path, need);
      else if (reference.kind === 'name') {
        const called = modules.find(module, reference.root, reference.member);
        if (called && !isDirected(called)) visit([...path, called]);
      }
    }
  };

  const report = (node: Node, path: Place[], { what, instead }: Need) => {
    const [workflow, ...others] = path;
    const user = path.at(-1)!;
    // What the workflow awaits, unless that calls steps itself.
    const forgetful = others.find((place) => place.owner.isAsync && !callsSteps(place));
    const { module, owner } = forgetful ?? workflow!;
    if (mistakes.has(owner.node)) return;
    const { line } = user.module.source.at(node);
    const where = owner === user.owner ? `in line ${line}` : `in ${relative(projectRoot, user.module.file)}:${line}`;
    const remedy = forgetful ? `write 'use step' first in it` : `move it into an async function with 'use step'`;
    const text = `uses ${what} ${where}, which only a step may; ${remedy}${instead}`;
    mistakes.set(owner.node, { file: module.file, ...module.source.at(owner.node), name: owner.name, text });
  };

  const callsSteps = ({ module, owner }: Place) =>
    [...referencesIn(owner.node, () => false)].some((it) => {
      const called = it.kind === 'name' ? modules.find(module, it.root, it.member) : undefined;
      return called !== undefined && isDirected(called);
    });

  for (const workflow of modules.all.flatMap(workflowsOf)) visit([workflow]);
  return mistakes.size > 0 ? [...mistakes.values()] : modules.all.flatMap((module) => findImports(module, graph));
}

/** Somebody gives one to the workflows (`globalThis.fetch = fetch`), or asks whether there is one (`typeof fetch`). */
function findProvided(modules: Module[]): (name: string) => boolean {
  const names = new Set<string | undefined>();
  for (const statement of modules.flatMap(({ source }) => source.body)) {
    for (const reference of referencesIn(statement, () => false)) {
      if (reference.kind === 'import') continue;
      const { root, member, isUsed } = reference;
      if (root === 'globalThis' || !isUsed) names.add(root === 'globalThis' ? member : root);
    }
  }
  return (name) => names.has(name);
}

function describeNeed(
  reference: Reference,
  { file, names }: Module,
  graph: ImportGraph,
  isProvided: (name: string) => boolean,
): Need | undefined {
  const needed = (from: string, isDynamic: boolean) => {
    const what = graph.needsPlatform(file, from, isDynamic);
    return what === undefined ? undefined : { what, instead: '' };
  };
  if (reference.kind === 'import') {
    const { from } = reference;
    return from === undefined ? { what: 'import() of a computed name', instead: '' } : needed(from, true);
  }
  const { root, member, isUsed } = reference;
  const imported = names.imports.get(root);
  if (imported) return names.ambiguous.has(root) ? undefined : needed(imported.from, false);
  const instead = names.declared.has(root) || !isUsed || isProvided(root) ? undefined : ONLY_IN_STEPS[root];
  const isEnvironment = root === 'process' && (member === undefined || member === 'env');
  if (instead === undefined || isEnvironment) return undefined;
  return { what: member === undefined ? root : `${root}.${member}`, instead };
}

/** What is used outside of functions, or in a way that nobody can follow. */
function findImports({ file, source, names }: Module, graph: ImportGraph): Mistake[] {
  return [...names.imports.values()].flatMap(({ from, node }) => {
    const needed = graph.needsPlatform(file, from, false);
    if (needed === undefined) return [];
    const text = `uses ${needed} outside of its steps, which only a step may; move what uses it into one`;
    return [{ file, ...source.at(node), name: undefined, text }];
  });
}
