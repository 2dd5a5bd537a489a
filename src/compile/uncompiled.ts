import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { SourceCheck } from './check-sources.ts';
import type { Directive } from './resemblance.ts';
import { atTop, type Mistake } from './mistakes.ts';
import type { WorkflowsByFile } from './workflow-names.ts';

interface Compilation {
  projectRoot: string;
  /** What was to be compiled. */
  files: string[];
  /** The folder of the bundles. */
  output: string;
  workflows: WorkflowsByFile;
  steps: Record<string, Record<string, { stepId: string }>>;
  inputs: ReadonlySet<string>;
  sources: SourceCheck;
}

const USED_STEP = /Symbol\.for\("WORKFLOW_USE_STEP"\)\]\("([^"]+)"/g;
const REGISTERED_STEP = /registerStepFunction\d*\("([^"]+)"/g;
const SOURCE = /\.[mc]?[jt]sx?$/;

/**
 * The compiler leaves out in silence what it does not expect. A step that the workflows call and nobody
 * registers would fail when it is called; one that is not compiled would be executed inside the workflow.
 */
export async function findUncompiled(compilation: Compilation): Promise<Mistake[]> {
  const { projectRoot, files, workflows, steps, inputs, sources } = compilation;
  if (Object.keys(workflows).length === 0) {
    return files.map((file) => atTop(file, `has no workflow; write 'use workflow' first in an async function`));
  }
  const unregistered = await findUnregistered(compilation.output);
  const mistakes: Mistake[] = [];
  for (const file of inputs) {
    if (file.includes('/node_modules/') || !SOURCE.test(file)) continue;
    const name = relative(projectRoot, file);
    const stepIds = Object.values(steps[name] ?? {}).map(({ stepId }) => stepId);
    const workflowIds = Object.values(workflows[name] ?? {}).map(({ workflowId }) => workflowId);
    const ids = { 'use step': stepIds.filter((id) => !unregistered.has(id)), 'use workflow': workflowIds };
    const { source, directives } = await sources.check(file);
    for (const { directive, name: functionName = '', node } of directives.functions) {
      const isAlike = (other = '') => lastName(other) === lastName(functionName);
      const alike = directives.functions.filter((it) => it.directive === directive && isAlike(it.name)).length;
      // The default export may be called otherwise.
      const compiled = functionName === 'default' ? 1 : ids[directive].filter(isAlike).length;
      if (compiled >= alike) continue;
      mistakes.push({ file, ...source!.at(node), name: functionName, text: describe(directive, alike) });
    }
    for (const id of stepIds) if (mistakes.some((it) => it.file === file)) unregistered.delete(id);
  }
  for (const id of unregistered) mistakes.push(atTop(files[0]!, `${id} is called, and not among the compiled steps`));
  return mistakes;
}

/** What the bundle of the workflows calls, and the bundle of the steps does not have. */
async function findUnregistered(output: string): Promise<Set<string>> {
  const [flow = '', step = ''] = await Promise.all(
    ['flow.mjs', 'step.mjs'].map((file) => readFile(join(output, file), 'utf8')),
  );
  const registered = new Set(allOf(REGISTERED_STEP, step));
  // The code of the workflows is a template literal in its file.
  const workflowCode = flow.replace(/\\([\\`$])/g, '$1');
  return new Set(allOf(USED_STEP, workflowCode).filter((id) => !registered.has(id)));
}

/** `A.one`, `A#one`, `make/one`, `step//./file//one` → `one` */
function lastName(name: string): string {
  return name.split(/[./#]/).at(-1)!;
}

function describe(directive: Directive, alike: number): string {
  const kind = directive === 'use step' ? 'step' : 'workflow';
  const reason = alike > 1 ? `shares its name with another ${kind} of this file` : `cannot be compiled where it stands`;
  return `${reason}; write it at the top level of the file, with a name of its own`;
}

function allOf(pattern: RegExp, text: string): string[] {
  return Array.from(text.matchAll(pattern), ([, id]) => id!);
}
