import { asFunction, childrenOf, nameBelow, type FunctionNode, type Node, type Source } from './source.ts';

/** What the names of a file stand for. */
export interface ModuleNames {
  /** `name` of another module; `*` is all of it. */
  imports: Map<string, { from: string; name: string; node: Node }>;
  /** `name` of this file, or of another. */
  exports: Map<string, { from: string | undefined; name: string }>;
  /** The modules of `export * from`. */
  exportsAllOf: string[];
  /** The functions at the top of the file: `one`, `A.one`, `default`. */
  functions: Map<string, FunctionNode>;
  /** All names that are declared in the file. */
  declared: Set<string>;
  /** Those that are declared inside of a function, too, where they stand for something else. */
  ambiguous: Set<string>;
}

export function readNames({ body }: Source): ModuleNames {
  const names: ModuleNames = {
    imports: new Map(),
    exports: new Map(),
    exportsAllOf: [],
    functions: new Map(),
    declared: new Set(),
    ambiguous: new Set(),
  };
  for (const statement of body) {
    readImports(statement, names);
    readExports(statement, names);
    collect(statement, undefined, names, false);
  }
  for (const name of names.imports.keys()) names.declared.add(name);
  return names;
}

function readImports(statement: Node, { imports }: ModuleNames): void {
  if (statement.type !== 'ImportDeclaration' || statement.typeOnly === true) return;
  const from = valueOf(statement.source)!;
  for (const specifier of statement.specifiers as Node[]) {
    const local = valueOf(specifier.local)!;
    const isDefault = specifier.type === 'ImportDefaultSpecifier';
    const whole = isDefault ? 'default' : '*';
    const name = specifier.type === 'ImportSpecifier' ? (valueOf(specifier.imported) ?? local) : whole;
    imports.set(local, { from, name, node: statement });
  }
}

function readExports(statement: Node, { exports, exportsAllOf }: ModuleNames): void {
  const from = valueOf(statement.source);
  if (statement.type === 'ExportAllDeclaration') exportsAllOf.push(from!);
  if (statement.type === 'ExportDefaultExpression') {
    exports.set('default', { from: undefined, name: valueOf(statement.expression) ?? 'default' });
  }
  if (statement.type === 'ExportDefaultDeclaration') {
    const { identifier } = statement.decl as Node;
    exports.set('default', { from: undefined, name: valueOf(identifier) ?? 'default' });
  }
  if (statement.type === 'ExportDeclaration') {
    for (const name of declaredBy(statement.declaration as Node)) exports.set(name, { from: undefined, name });
  }
  if (statement.type !== 'ExportNamedDeclaration') return;
  for (const specifier of statement.specifiers as Node[]) {
    const name = valueOf(specifier.orig) ?? '*';
    exports.set(valueOf(specifier.exported ?? specifier.name) ?? name, { from, name });
  }
}

/** The names that a declaration or a parameter makes; rather one too many than one too few. */
function declaredBy(node: Node): string[] {
  if (node.type === 'VariableDeclaration') return (node.declarations as Node[]).flatMap(declaredBy);
  if (node.type === 'VariableDeclarator') return identifiersIn(node.id as Node);
  if (node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') return [valueOf(node.identifier)!];
  if (node.type === 'Parameter') return identifiersIn(node.pat as Node);
  if (node.type === 'ArrowFunctionExpression') return (node.params as Node[]).flatMap(identifiersIn);
  if (node.type === 'CatchClause' && node.param) return identifiersIn(node.param as Node);
  return [];
}

function collect(node: Node, name: string | undefined, names: ModuleNames, isInside: boolean): void {
  for (const declared of declaredBy(node)) {
    names.declared.add(declared);
    if (isInside || node.type === 'ArrowFunctionExpression') names.ambiguous.add(declared);
  }
  const givenName = nameBelow(node, name);
  const owner = asFunction(node, givenName, isInside);
  if (owner?.name && !isInside) names.functions.set(owner.name, owner);
  const isBelowInside = isInside || owner !== undefined || node.type === 'BlockStatement';
  for (const child of childrenOf(node)) collect(child, owner ? undefined : givenName, names, isBelowInside);
}

function identifiersIn(node: Node): string[] {
  const own = node.type === 'Identifier' ? [node.value as string] : [];
  return [...own, ...[...childrenOf(node)].flatMap(identifiersIn)];
}

export function valueOf(node: unknown): string | undefined {
  const value = (node as Node | null | undefined)?.value;
  return typeof value === 'string' ? value : undefined;
}
