/** Why a value cannot be stored, and where it is. No import: this runs in steps, and inside of workflows (`workflow-guard.ts`). */
export interface Unstorable {
  /** From the name of the value on: `result.items[3].price`. */
  path: string;
  /** Goes on after the path: `is a function`. */
  reason: string;
}

/** Of a value in its stored form, of an event, and of a row: node-postgres can read no value of 256 MB. */
export const MAX_VALUE_BYTES = 100_000_000;

/** What is serialized or read takes stack for each level, a set twice and a map three times as much. Half of what Node has. */
const MAX_DEPTH = 800;

/** What the runtime stores although it is not plain, in the realm in which this runs. */
const STORED_CLASSES = ['ReadableStream', 'WritableStream', 'Request', 'Response', 'Headers', 'URL', 'URLSearchParams'];
const VIEWS =
  /^(Int8|Uint8|Uint8Clamped|Int16|Uint16|Float16|Int32|Uint32|Float32|Float64|BigInt64|BigUint64)Array$|^DataView$/;
const AS_THEY_ARE = /^(Date|Number|Boolean|BigInt|Temporal\..*)$/;

/**
 * The first thing in a value that would not come back as it was: what Workflow DevKit refuses, what it would change
 * beyond recognition, and what is too large. `docs/VALUES.md` says what comes back how.
 * @param name what the value is, the beginning of the path
 */
export function findUnstorable(value: unknown, name: string): Unstorable | undefined {
  const seen = new Set<object>();
  /** Maps and sets that are being looked into: one cannot contain itself. */
  const open = new Set<object>();
  let bytes = 0;

  function ofText(text: string): Unstorable | undefined {
    bytes += text.length;
    if (bytes > MAX_VALUE_BYTES) return tooLarge();
    // UTF-8 has no lone surrogate: it would come back as U+FFFD.
    return text.isWellFormed() ? undefined : here('has a lone surrogate, half of a character: use toWellFormed()');
  }

  function ofEntries(thing: object, depth: number): Unstorable | undefined {
    for (const key of Object.keys(thing)) {
      const at = () => (/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`);
      if (key === '__proto__') return within(at(), here('has a key that is read as a prototype'));
      const found = ofText(key) ?? find((thing as Record<string, unknown>)[key], depth);
      if (found) return within(at(), found);
    }
    return undefined;
  }

  function ofArray(array: readonly unknown[], depth: number): Unstorable | undefined {
    for (let n = 0; n < array.length; n += 1) {
      const found = find(array[n], depth);
      if (found) return within(`[${n}]`, found);
    }
    return undefined;
  }

  function ofMap(map: ReadonlyMap<unknown, unknown>, depth: number): Unstorable | undefined {
    let n = 0;
    for (const [key, entry] of map) {
      const found = within('(key)', find(key, depth)) ?? find(entry, depth);
      if (found) return within(`.entries[${n}]`, found);
      n += 1;
    }
    return undefined;
  }

  function ofCollection(thing: object, tag: string, depth: number): Unstorable | undefined {
    if (tag === 'Map' ? !(thing instanceof Map) : !(thing instanceof Set))
      return here(`is a ${tag} of another realm: copy it, new ${tag}(…)`);
    open.add(thing);
    const found = thing instanceof Map ? ofMap(thing, depth + 2) : ofArray([...(thing as Set<unknown>)], depth + 1);
    open.delete(thing);
    return found;
  }

  function ofView({ buffer, byteLength }: ArrayBufferView, tag: string): Unstorable | undefined {
    bytes += (byteLength * 4) / 3;
    if (bytes > MAX_VALUE_BYTES) return tooLarge();
    // Not known to the runtime as one, so read as one of the whole buffer.
    const isForeign =
      !(buffer instanceof ArrayBuffer) && buffer.byteLength !== byteLength && !/^Dat|^Float16/.test(tag);
    return isForeign ? here(`is a part of a buffer of another realm: copy it, new ${tag}(…)`) : undefined;
  }

  function ofObject(thing: object, depth: number): Unstorable | undefined {
    if (Array.isArray(thing)) return ofArray(thing, depth);
    const tag = Object.prototype.toString.call(thing).slice(8, -1);
    if (tag === 'Map' || tag === 'Set') return ofCollection(thing, tag, depth);
    if (VIEWS.test(tag)) return ofView(thing as ArrayBufferView, tag);
    if (tag === 'ArrayBuffer') {
      bytes += ((thing as ArrayBuffer).byteLength * 4) / 3;
      return bytes > MAX_VALUE_BYTES ? tooLarge() : undefined;
    }
    if (tag === 'String') return ofText(`${thing as unknown as string}`);
    if (tag === 'RegExp') return ofText((thing as RegExp).source);
    // Of an error its name, message and stack are stored.
    if (AS_THEY_ARE.test(tag) || tag === 'Error' || tag === 'DOMException') return undefined;
    if (isStored(thing)) {
      const { locked } = thing as { locked?: unknown };
      return locked === true ? here('is a stream that is being read or written: release it first') : undefined;
    }
    const notPlain = whyNotPlain(thing, tag);
    return notPlain === undefined ? ofEntries(thing, depth) : here(notPlain);
  }

  function find(thing: unknown, depth: number): Unstorable | undefined {
    switch (typeof thing) {
      case 'string':
        return ofText(thing);
      case 'symbol':
        return here('is a symbol');
      case 'function':
        return isKnownFunction(thing) ? undefined : here('is a function, and not a step');
      case 'object': {
        if (thing === null) return undefined;
        if (seen.has(thing)) return open.has(thing) ? here('contains itself: a Map or a Set cannot') : undefined;
        if (depth > MAX_DEPTH) return here(`is nested too deeply (more than ${MAX_DEPTH} levels)`);
        seen.add(thing);
        return ofObject(thing, depth + 1);
      }
      default:
        return undefined;
    }
  }

  try {
    return within(name, find(value, 0));
  } catch (error) {
    // A getter, or a proxy.
    return { path: name, reason: `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
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

function here(reason: string): Unstorable {
  return { path: '', reason };
}

function within(key: string, found: Unstorable | undefined): Unstorable | undefined {
  return found && { ...found, path: key + found.path };
}

function tooLarge(): Unstorable {
  return here(`is too large: more than ${MAX_VALUE_BYTES / 1_000_000} MB, with what comes before it`);
}

/** A step function, or a class that the compiler knows. */
function isKnownFunction(thing: object): boolean {
  const { stepId, classId } = thing as { stepId?: unknown; classId?: unknown };
  return typeof stepId === 'string' || typeof classId === 'string';
}

function isStored(thing: object): boolean {
  const realm = globalThis as unknown as Record<string, unknown>;
  const isOf = (name: string) => typeof realm[name] === 'function' && thing instanceof (realm[name] as typeof Object);
  const { constructor } = thing as { constructor?: unknown };
  // Workflow DevKit's way to store instances of a class.
  const serialize = Symbol.for('workflow-serialize');
  return STORED_CLASSES.some(isOf) || (typeof constructor === 'function' && serialize in constructor);
}

/** Also an object of another realm is plain; one that inherits its data is not. */
function whyNotPlain(thing: object, tag: string): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(thing);
  const isPlain =
    prototype === null ||
    prototype === Object.prototype ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'hasOwnProperty'));
  if (tag === 'Arguments') return 'is the arguments of a function: use [...arguments]';
  if (!isPlain) return `is ${nameOf(thing, tag)}`;
  const hasSymbols = Object.getOwnPropertySymbols(thing).some((key) =>
    Object.prototype.propertyIsEnumerable.call(thing, key),
  );
  if (hasSymbols) return 'has a symbol as a key';
  return tag === 'Object' ? undefined : `is ${nameOf(thing, tag)}`;
}

function nameOf(thing: object, tag: string): string {
  if (tag === 'Promise') return 'a promise: await it';
  const { constructor } = thing as { constructor?: unknown };
  const name = typeof constructor === 'function' && constructor !== Object ? constructor.name : '';
  return name ? `an instance of ${name}` : 'an object with a prototype of its own';
}
