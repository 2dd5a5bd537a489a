/** What the runtime stores although it is not plain, in the realm in which this runs. */
const STORED_CLASSES = ['ReadableStream', 'WritableStream', 'Request', 'Response', 'Headers', 'URL', 'URLSearchParams'];

/** A step function, or a class that the compiler knows. */
export function isKnownFunction(thing: object): boolean {
  const { stepId, classId } = thing as { stepId?: unknown; classId?: unknown };
  return typeof stepId === 'string' || typeof classId === 'string';
}

export function isStored(thing: object): boolean {
  const realm = globalThis as unknown as Record<string, unknown>;
  const isOf = (name: string) => typeof realm[name] === 'function' && thing instanceof (realm[name] as typeof Object);
  const { constructor } = thing as { constructor?: unknown };
  // Workflow DevKit's way to store instances of a class.
  const serialize = Symbol.for('workflow-serialize');
  return STORED_CLASSES.some(isOf) || (typeof constructor === 'function' && serialize in constructor);
}

/** Also an object of another realm is plain; one that inherits its data is not. */
export function whyNotPlain(thing: object, tag: string): string | undefined {
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
