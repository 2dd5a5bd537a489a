import { parse, type ParseOptions } from '@swc/core';
import type { Mistake } from './mistakes.ts';
import { readSwcErrors } from './swc-error.ts';

/** A node of the syntax tree. The types of the parser do not say which of its objects are nodes. */
export interface Node {
  type: string;
  span?: { start: number; end: number };
  [key: string]: unknown;
}

export interface Source {
  file: string;
  /** The statements of the file. */
  body: Node[];
  at(node: Node): { line: number; column: number };
}

/** A function of any kind: declared, in an expression, a method. */
export interface FunctionNode {
  node: Node;
  name: string | undefined;
  /** Undefined: its body is an expression. */
  body: Node[] | undefined;
  isAsync: boolean;
  isGenerator: boolean;
  isAccessor: boolean;
  /** Inside another function. */
  isNested: boolean;
}

/** @returns the tree, or what is wrong with the syntax */
export async function parseSource(file: string, text: string): Promise<Source | Mistake[]> {
  // The parser counts on from file to file. What stands first here, says where this file begins.
  const source = `;${text.replace(/^\uFEFF/, '').replace(/^#!/, '//')}`;
  try {
    const { body } = (await parse(source, syntaxOf(file))) as unknown as { body: Node[] };
    const [first, ...statements] = body;
    const offset = first?.span?.start ?? 0;
    const bytes = Buffer.from(source);
    return {
      file,
      body: statements,
      at(node: Node) {
        const before = bytes.subarray(1, (node.span?.start ?? offset) - offset).toString();
        const lines = before.split('\n');
        return { line: lines.length, column: lines.at(-1)!.length + 1 };
      },
    };
  } catch (error) {
    return readSwcErrors((error as Error).message).map(({ text: what, line, column }) => ({
      file,
      line,
      column: line === 1 ? Math.max(1, column - 1) : column,
      name: undefined,
      text: what,
    }));
  }
}

function syntaxOf(file: string): ParseOptions {
  const isTypeScript = /\.[mc]?tsx?$/.test(file);
  return isTypeScript
    ? { syntax: 'typescript', tsx: file.endsWith('x'), decorators: true, target: 'es2022' }
    : { syntax: 'ecmascript', jsx: file.endsWith('x'), decorators: true, target: 'es2022' };
}

/** The nodes directly below. Some of them are in objects that are no nodes, as arguments are. */
export function* childrenOf(node: object): Generator<Node> {
  for (const [key, value] of Object.entries(node)) {
    if (typeof value !== 'object' || value === null || key === 'span') continue;
    if (isNode(value)) yield value;
    else yield* childrenOf(value);
  }
}

function isNode(value: object): value is Node {
  return 'type' in value && typeof value.type === 'string';
}

const ACCESSORS = new Set(['GetterProperty', 'SetterProperty', 'Constructor']);
const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression', 'MethodProperty']);
const METHODS = new Set(['ClassMethod', 'PrivateMethod']);

/** @param givenName of the variable, property or class that it is written into */
export function asFunction(node: Node, givenName: string | undefined, isNested: boolean): FunctionNode | undefined {
  const isMethod = METHODS.has(node.type);
  if (!isMethod && !FUNCTIONS.has(node.type) && !ACCESSORS.has(node.type)) return undefined;
  const shape = (isMethod ? node.function : node) as Node;
  const body = shape.body as Node | null | undefined;
  const ownName = (shape.identifier as Node | null | undefined)?.value as string | undefined;
  return {
    node,
    name: ownName ?? givenName,
    body: body?.type === 'BlockStatement' ? (body.stmts as Node[]) : undefined,
    isAsync: shape.async === true,
    isGenerator: shape.generator === true,
    isAccessor: ACCESSORS.has(node.type) || (isMethod && node.kind !== 'method'),
    isNested,
  };
}

/** The name that a node gives to the function in it, below the name that it has itself. */
export function nameBelow(node: Node, name: string | undefined): string | undefined {
  const own = (key: string) => (node[key] as Node | null | undefined)?.value as string | undefined;
  switch (node.type) {
    case 'VariableDeclarator':
      return own('id');
    case 'ClassDeclaration':
    case 'ClassExpression':
      return own('identifier') ?? name;
    case 'KeyValueProperty':
    case 'MethodProperty':
    case 'GetterProperty':
    case 'SetterProperty':
    case 'ClassMethod':
    case 'ClassProperty':
      return [name, own('key')].filter(Boolean).join('.');
    case 'ExportDefaultExpression':
    case 'ExportDefaultDeclaration':
      return 'default';
    default:
      return name;
  }
}
