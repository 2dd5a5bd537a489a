import { ConfigError } from '../config/config.ts';

/** What `start()` takes. */
export interface WorkflowReference {
  workflowId: string;
}

/** File → function → its workflow. */
export type WorkflowsByFile = Record<string, Record<string, WorkflowReference>>;

/**
 * Every workflow by `file.ts#name`, and by its name alone where that is the only one. The name of two throws
 * when it is read: one of them in silence would be the wrong one, sooner or later.
 */
export function nameWorkflows(byFile: WorkflowsByFile): Record<string, WorkflowReference> {
  const all = Object.entries(byFile)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([file, workflows]) =>
      Object.entries(workflows).map(([name, value]) => ({ name, fullName: `${file}#${name}`, value })),
    );
  const named: Record<string, WorkflowReference> = {};
  for (const [name, alike = []] of Map.groupBy(all, (workflow) => workflow.name)) {
    const [only, ...others] = alike;
    const isOnlyOne = others.length === 0;
    // Who goes through all of them meets each one once.
    for (const { fullName, value } of alike) Object.defineProperty(named, fullName, { value, enumerable: !isOnlyOne });
    if (isOnlyOne) named[name] = only!.value;
    else Object.defineProperty(named, name, { get: () => refuseName(name, alike) });
  }
  return named;
}

function refuseName(name: string, alike: readonly { fullName: string }[]): never {
  const places = alike.map(({ fullName }) => fullName).join(', ');
  throw new ConfigError(`${name} stands for ${alike.length} workflows: write one of ${places}.`);
}
