import { childrenOf, type Node } from './source.ts';
import { valueOf } from './module-names.ts';

/** `one`, `A.one`, `process.cwd`; or the module of an `import()`, undefined where that is known only when it runs. */
export type Reference =
  | { kind: 'name'; node: Node; root: string; member: string | undefined; isUsed: boolean }
  | { kind: 'import'; node: Node; from: string | undefined };

/** Whatever code refers to, in the order of the file. `isUsed`: called, or looked into. */
export function* referencesIn(node: Node, isLeftOut: (node: Node) => boolean): Generator<Reference> {
  if (isLeftOut(node)) return;
  // Types are gone when it runs.
  if (node.type.startsWith('Ts')) {
    if (node.expression) yield* referencesIn(node.expression as Node, isLeftOut);
    return;
  }
  const { callee } = node as { callee?: Node };
  if (callee?.type === 'Import') {
    const [first] = node.arguments as { expression: Node }[];
    yield { kind: 'import', node, from: textOf(first?.expression) };
  }
  const object = node.type === 'MemberExpression' ? (node.object as Node) : undefined;
  const property = object && (node.property as Node);
  if (object?.type === 'Identifier') {
    const member = property?.type === 'Identifier' ? valueOf(property) : undefined;
    yield { kind: 'name', node: object, root: valueOf(object)!, member, isUsed: true };
  } else if (object) yield* referencesIn(object, isLeftOut);
  if (object) {
    if (property?.type === 'Computed') yield* referencesIn(property, isLeftOut);
    return;
  }
  if (node.type === 'Identifier') yield { kind: 'name', node, root: valueOf(node)!, member: undefined, isUsed: false };
  for (const child of childrenOf(withoutNames(node))) {
    const isCalled = child === callee && child.type === 'Identifier';
    if (isCalled) yield { kind: 'name', node: child, root: valueOf(child)!, member: undefined, isUsed: true };
    else yield* referencesIn(child, isLeftOut);
  }
}

/** Names of properties and labels refer to nothing. */
function withoutNames(node: Node): object {
  const { key, label: _label, ...rest } = node;
  return (key as Node | undefined)?.type === 'Computed' ? node : rest;
}

function textOf(node: Node | undefined): string | undefined {
  if (node?.type === 'StringLiteral') return valueOf(node);
  const [quasi, ...more] = node?.type === 'TemplateLiteral' ? (node.quasis as Node[]) : [];
  return more.length === 0 ? (quasi?.raw as string | undefined) : undefined;
}
