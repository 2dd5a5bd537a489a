import { resembles, type Directive } from './resemblance.ts';
import { asFunction, childrenOf, nameBelow, type FunctionNode, type Node, type Source } from './source.ts';
import type { Mistake } from './mistakes.ts';

interface DirectedFunction {
  directive: Directive;
  name: string | undefined;
  node: Node;
}

export interface Directives {
  /** Of the whole file. */
  ofFile: Directive | undefined;
  functions: DirectedFunction[];
  mistakes: Mistake[];
}

/**
 * Finds 'use step' and 'use workflow', and what was meant to be one and is not. To the compiler that is a
 * text that does nothing, and so the function would be executed inside the workflow, and not be durable.
 */
export function readDirectives(source: Source): Directives {
  const found: Directives = { ofFile: undefined, functions: [], mistakes: [] };
  const report = (node: Node, name: string | undefined, text: string) =>
    found.mistakes.push({ file: source.file, ...source.at(node), name, text });

  const inspect = (statements: Node[], name: string | undefined, owner: FunctionNode | 'file' | 'block') => {
    statements.forEach((statement, index) => {
      const text = readText(statement);
      const directive = text && resembles(text.value);
      if (!directive) return;
      const isFirst = owner !== 'block' && statements.slice(0, index).every((it) => readText(it)?.isPlain);
      const wrong = describeWording(text, directive) ?? (isFirst ? undefined : describePlace(directive, owner));
      if (wrong) report(statement, name, wrong);
      else if (owner === 'file') found.ofFile = directive;
      else if (owner !== 'block') accept(statement, owner, directive);
    });
  };

  const accept = (statement: Node, owner: FunctionNode, directive: Directive) => {
    const before = found.functions.find(({ node }) => node === owner.node);
    const wrong = before ? `has '${before.directive}' already; write one of the two` : describeShape(owner, directive);
    if (wrong) report(statement, owner.name, wrong);
    else found.functions.push({ directive, name: owner.name, node: owner.node });
  };

  const visit = (node: Node, name: string | undefined, around?: FunctionNode) => {
    const givenName = nameBelow(node, name);
    const owner = asFunction(node, givenName, around !== undefined);
    if (owner?.body) inspect(owner.body, owner.name, owner);
    else if (node.type === 'BlockStatement' && node.stmts !== around?.body) {
      inspect(node.stmts as Node[], around?.name, 'block');
    }
    for (const child of childrenOf(node)) visit(child, owner ? undefined : givenName, owner ?? around);
  };

  inspect(source.body, undefined, 'file');
  for (const statement of source.body) visit(statement, undefined);
  return found;
}

interface Text {
  value: string;
  /** In quotes, without parentheses: what the language takes for a directive. */
  isPlain: boolean;
}

/** The text, if a statement consists of one. */
function readText(statement: Node): Text | undefined {
  if (statement.type !== 'ExpressionStatement') return undefined;
  let expression = statement.expression as Node;
  const isPlain = expression.type === 'StringLiteral';
  while (expression.type === 'ParenthesisExpression') expression = expression.expression as Node;
  if (expression.type === 'StringLiteral') return { value: expression.value as string, isPlain };
  const [quasi, ...more] = expression.type === 'TemplateLiteral' ? (expression.quasis as Node[]) : [];
  return quasi && more.length === 0 ? { value: quasi.raw as string, isPlain } : undefined;
}

function describeWording({ value, isPlain }: Text, directive: Directive): string | undefined {
  if (value !== directive) return `'${value}' means nothing, so this is not durable; write '${directive}'`;
  if (isPlain) return undefined;
  return `'${directive}' means something only in quotes, without parentheses; write '${directive}';`;
}

function describePlace(directive: Directive, owner: FunctionNode | 'file' | 'block'): string {
  const place = owner === 'file' ? 'line of the file, or of the function that it is for' : 'line of its function';
  return `'${directive}' means nothing here; write it as the first ${place}`;
}

function describeShape(owner: FunctionNode, directive: Directive): string | undefined {
  const kind = directive === 'use step' ? 'step' : 'workflow';
  // The compiler renames what is declared there, but not its calls.
  const isMisplaced = owner.isNested && (kind === 'workflow' || owner.node.type === 'FunctionDeclaration');
  if (isMisplaced) return `a ${kind} cannot be declared inside another function; write it at the top level of the file`;
  if (owner.isAccessor) return `a getter, setter or constructor cannot be a ${kind}; write an async function`;
  if (owner.isGenerator) return `a ${kind} gives one result, and cannot be a generator; write an async function`;
  if (!owner.isAsync) return `a ${kind} must be async; write async function ${owner.name ?? ''}`.trimEnd();
  const isNameless = owner.name === undefined || owner.name === 'default';
  if (kind === 'step' && isNameless) return `a step needs a name; write async function NAME() { … }`;
  return undefined;
}
