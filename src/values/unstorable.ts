import { isKnownFunction, isStored, whyNotPlain } from './plain.ts';

/** Why a value cannot be stored, and where it is. */
export interface Unstorable {
  /** From the name of the value on: `result.items[3].price`. */
  path: string;
  /** Goes on after the path: `is a function`. */
  reason: string;
}

/**
 * Refused before it is serialized. What counts is the stored form, which `WORKFLOW_POSTGRES_MAX_VALUE_MB` limits: to no
 * more than this, because node-postgres can read no value of 256 MB. No setting here: a replay decides as the one before.
 */
export const MAX_VALUE_BYTES = 100_000_000;

/** Each takes up to 2 µs of the event loop to be serialized: five seconds, and a heartbeat lapses after ten. */
const MAX_PARTS = 2_500_000;

/** Reading takes stack for each level, for a set twice and for a map three times as much. Half of what Node has. */
const MAX_DEPTH = 800;

const VIEWS =
  /^(Int8|Uint8|Uint8Clamped|Int16|Uint16|Float16|Int32|Uint32|Float32|Float64|BigInt64|BigUint64)Array$|^DataView$/;
/** Of an error its name, message and stack. */
const AS_THEY_ARE = /^(Date|Number|Boolean|BigInt|Error|DOMException|Temporal\..*)$/;

/** Where the search is in an object, an array, a map (key, value, key, …) or a set. */
interface Cursor {
  thing: object;
  /** Of an object its keys. */
  children: readonly unknown[];
  kind: 'object' | 'array' | 'Map' | 'Set';
  /** The one that comes next. */
  next: number;
}

/** Of stack, when it is read. */
const LEVELS = { object: 1, array: 1, Set: 2, Map: 3 } as const;

/**
 * The first thing in a value that would not come back as it was: what Workflow DevKit refuses, what it would change
 * beyond recognition, and what is too large. `docs/VALUES.md` says what comes back how. Without a recursion: how much
 * stack there is differs from one replay to the next, and a replay must decide as the one before. Without Node, too: it
 * runs in steps, and inside of workflows (`workflow-guard.ts`).
 * @param name what the value is, the beginning of the path
 */
export function findUnstorable(value: unknown, name: string): Unstorable | undefined {
  const seen = new Set<object>();
  const cursors: Cursor[] = [];
  let bytes = 0;
  let parts = 0;
  let depth = 0;

  const unstorable = (reason: string): Unstorable => ({ path: name + pathOf(cursors), reason });

  const addBytes = (count: number) => {
    bytes += count;
    return bytes > MAX_VALUE_BYTES
      ? `is too large: more than ${MAX_VALUE_BYTES / 1_000_000} MB, with what comes before it`
      : undefined;
  };

  const problemOfText = (text: string) =>
    // UTF-8 has no lone surrogate: it would come back as U+FFFD.
    text.isWellFormed() ? addBytes(text.length) : 'has a lone surrogate, half of a character: use toWellFormed()';

  const enter = (thing: object, kind: Cursor['kind'], children: readonly unknown[]) => {
    parts += children.length;
    if (parts > MAX_PARTS)
      return `has more than ${MAX_PARTS / 1e6} million parts, with what comes before it: use a typed array, or a text`;
    cursors.push({ thing, children, kind, next: 0 });
    depth += LEVELS[kind];
    return depth > MAX_DEPTH ? `is nested too deeply (more than ${MAX_DEPTH} levels)` : undefined;
  };

  function problemOfObject(thing: object): string | undefined {
    if (seen.has(thing)) {
      const isOpen = cursors.some((cursor) => cursor.thing === thing && LEVELS[cursor.kind] > 1);
      return isOpen ? 'contains itself: a Map or a Set cannot' : undefined;
    }
    seen.add(thing);
    if (Array.isArray(thing)) return enter(thing, 'array', thing);
    const tag = Object.prototype.toString.call(thing).slice(8, -1);
    if (tag === 'Map' || tag === 'Set') {
      if (thing instanceof Map) return enter(thing, 'Map', [...thing].flat(1));
      if (thing instanceof Set) return enter(thing, 'Set', [...thing]);
      return `is a ${tag} of another realm: copy it, new ${tag}(…)`;
    }
    if (VIEWS.test(tag))
      return addBytes(textBytesOf(thing as ArrayBufferView)) ?? problemOfView(thing as DataView, tag);
    if (tag === 'ArrayBuffer') return addBytes(textBytesOf(thing as ArrayBuffer));
    if (tag === 'String') return problemOfText(String.prototype.valueOf.call(thing));
    if (tag === 'RegExp') return problemOfText((thing as RegExp).source);
    if (AS_THEY_ARE.test(tag)) return undefined;
    if (isStored(thing)) {
      const { locked } = thing as { locked?: unknown };
      return locked === true ? 'is a stream that is being read or written: release it first' : undefined;
    }
    return whyNotPlain(thing, tag) ?? enter(thing, 'object', Object.keys(thing));
  }

  function problemOf(thing: unknown): string | undefined {
    switch (typeof thing) {
      case 'string':
        return problemOfText(thing);
      case 'symbol':
        return 'is a symbol';
      case 'function':
        return isKnownFunction(thing) ? undefined : 'is a function, and not a step';
      case 'object':
        return thing === null ? undefined : problemOfObject(thing);
      default:
        return undefined;
    }
  }

  function problemOfNext(cursor: Cursor): string | undefined {
    const child = cursor.children[cursor.next];
    cursor.next += 1;
    if (cursor.kind !== 'object') return problemOf(child);
    if (child === '__proto__') return 'has a key that is read as a prototype';
    return problemOfText(child as string) ?? problemOf((cursor.thing as Record<string, unknown>)[child as string]);
  }

  try {
    let problem = problemOf(value);
    for (let cursor = cursors.at(-1); cursor && !problem; cursor = cursors.at(-1)) {
      if (cursor.next < cursor.children.length) problem = problemOfNext(cursor);
      else depth -= LEVELS[cursors.pop()!.kind];
    }
    return problem === undefined ? undefined : unstorable(problem);
  } catch (error) {
    // A getter, or a proxy.
    return unstorable(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** To the child that was looked at last; of a cursor that was only just opened, nothing. */
function pathOf(cursors: readonly Cursor[]): string {
  const path = cursors
    .filter(({ next }) => next > 0)
    .map(({ kind, children, next }) => {
      const n = next - 1;
      if (kind === 'object') return keyOf(String(children[n]));
      if (kind === 'Map') return `.entries[${n >> 1}][${n % 2}]`;
      return `[${n}]`;
    });
  return path.length > 20 ? [...path.slice(0, 10), '…', ...path.slice(-10)].join('') : path.join('');
}

function keyOf(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** One sentence, and where there is more. */
export function describeUnstorable({ path, reason }: Unstorable): string {
  return `${path} ${reason}. Only plain data can be stored: see docs/VALUES.md.`;
}

/** Throws what was thrown, or, as `undefined` and symbols have no text to be recorded, an error instead. */
export function throwError(thrown: unknown): never {
  if (thrown === undefined || typeof thrown === 'symbol') throw new Error(`${String(thrown)} was thrown`);
  throw thrown;
}

/** As base64. */
function textBytesOf({ byteLength }: { byteLength: number }): number {
  return Math.ceil((byteLength * 4) / 3);
}

function problemOfView({ buffer, byteLength }: ArrayBufferView, tag: string): string | undefined {
  // Not known to the runtime as one, so read as one of the whole buffer.
  const isForeign = !(buffer instanceof ArrayBuffer) && buffer.byteLength !== byteLength && !/^Dat|^Float16/.test(tag);
  return isForeign ? `is a part of a buffer of another realm: copy it, new ${tag}(…)` : undefined;
}
