/**
 * Runs inside of each workflow's context, before its code: what could not be recorded is refused by the call that
 * it belongs to, where the workflow can catch it. A replay refuses the same: all of it is decided by the value.
 * (Found later, when the events are written, it could only fail the run.)
 */
import { describeUnstorable, findUnstorable, throwError } from './unstorable.ts';

type Call = (...args: never[]) => unknown;
type Global = Record<symbol, Call> & { __private_workflows?: Map<string, Call> };

/** PostgreSQL has years of four digits; about 7,900 years from now. */
const MAX_DURATION_MS = 2.5e14;
const MAX_TOKEN_BYTES = 2_000;

const UNIT_MS: readonly [RegExp, number][] = [
  [/^ms|^mil|^mse/i, 1],
  [/^s/i, 1e3],
  [/^m/i, 6e4],
  [/^h/i, 3.6e6],
  [/^d/i, 8.64e7],
  [/^w/i, 6.048e8],
  [/^y/i, 3.156e10],
];

const realm = globalThis as unknown as Global;
const [SLEEP, HOOK, STEP] = ['WORKFLOW_SLEEP', 'WORKFLOW_CREATE_HOOK', 'WORKFLOW_USE_STEP'].map((name) =>
  Symbol.for(name),
) as [symbol, symbol, symbol];

const { [SLEEP]: sleep, [HOOK]: createHook, [STEP]: useStep } = realm as Record<symbol, Call>;

realm[SLEEP] = (until: unknown) => {
  const problem = problemOfTime(until);
  return problem ? Promise.reject(new RangeError(`sleep() cannot wait: ${problem}.`)) : sleep!(until as never);
};

realm[HOOK] = (options: { token?: unknown; metadata?: unknown } = {}) => {
  const problem = problemOfToken(options.token);
  if (problem) throw new RangeError(`createHook() cannot use the token: ${problem}.`);
  const found = findUnstorable(options.metadata, 'metadata');
  if (found) throw new TypeError(`createHook() cannot store its metadata: ${describeUnstorable(found)}`);
  return createHook!(options as never);
};

realm[STEP] = (stepName: string, ...rest: unknown[]) => {
  const step = useStep!(...([stepName, ...rest] as never[])) as Call;
  return new Proxy(step, {
    apply(target, self: unknown, args: unknown[]) {
      const found = findUnstorable(args, 'arguments');
      if (!found) return Reflect.apply(target, self, withTexts(args));
      const name = stepName.split('//').at(-1);
      return Promise.reject(asFatal(`The step "${name}" cannot be called: ${describeUnstorable(found)}`));
    },
  });
};

/**
 * The runtime joins the arguments of a step to a line for its log, which mostly nobody reads. Without this, an object
 * that has no text (without a prototype, as the groups of a match, or with a `toString` of its own), or an array of
 * such, would end each replay after the step was executed. Not enumerable, so it is not stored.
 */
function withTexts(args: unknown[]): unknown[] {
  if (hasText(args)) return args;
  const seen = new Set<unknown>();
  const things = [...args];
  for (const thing of things) {
    if (typeof thing !== 'object' || thing === null || seen.has(thing)) continue;
    seen.add(thing);
    if (Array.isArray(thing)) for (const element of thing) things.push(element);
    else if (!hasText(thing)) Object.defineProperty(thing, Symbol.toPrimitive, { value: () => '[object Object]' });
  }
  return args;
}

function hasText(thing: object): boolean {
  try {
    // oxlint-disable-next-line typescript/no-base-to-string
    return typeof String(thing) === 'string';
  } catch {
    return false;
  }
}

/** The bundle registers its workflows in a map that it puts here. */
let workflows: Map<string, Call> | undefined;
Object.defineProperty(realm, '__private_workflows', {
  configurable: true,
  get: () => workflows,
  set(registry: Map<string, Call>) {
    const register = registry.set.bind(registry);
    registry.set = (name, workflow) => register(name, checkingResult(workflow));
    workflows = registry;
  },
});

function checkingResult(workflow: Call): Call {
  return async (...args) => {
    const result = await Promise.resolve(workflow(...args)).catch(throwError);
    const found = findUnstorable(result, 'result');
    if (found) throw new TypeError(`The result of the workflow cannot be stored: ${describeUnstorable(found)}`);
    return result;
  };
}

/** As a step that has failed throws: `FatalError.is()` goes by the name. */
function asFatal(message: string): Error {
  return Object.assign(new Error(message), { name: 'FatalError', fatal: true });
}

/** Only what `sleep()` itself does not find. */
function problemOfTime(until: unknown): string | undefined {
  if (typeof until === 'number' && until > MAX_DURATION_MS) return `${until} ms is too long`;
  if (typeof until === 'string')
    return durationMs(until) > MAX_DURATION_MS ? `"${until.slice(0, 40)}" is too long` : undefined;
  if (typeof until !== 'object' || until === null || !('getTime' in until)) return undefined;
  const date = new Date((until as Date).getTime());
  if (Number.isNaN(date.getTime())) return 'the date is invalid';
  const year = date.getUTCFullYear();
  return year < 1 || year > 9999 ? `the year ${year} is out of range` : undefined;
}

function durationMs(text: string): number {
  const [, count = '', unit = ''] = /^\s*(\d*\.?\d+)\s*([a-z]*)/i.exec(text.slice(0, 200)) ?? [];
  return Number(count) * (UNIT_MS.find(([pattern]) => pattern.test(unit))?.[1] ?? 1);
}

function problemOfToken(token: unknown): string | undefined {
  if (token === undefined) return undefined;
  if (typeof token !== 'string') return `it is not a string (${token === null ? 'null' : typeof token})`;
  if (token.includes('\0')) return 'it contains NUL';
  if (!token.isWellFormed()) return 'it has a lone surrogate, half of a character';
  const { length } = new TextEncoder().encode(token.slice(0, MAX_TOKEN_BYTES + 1));
  return length > MAX_TOKEN_BYTES ? `it has more than ${MAX_TOKEN_BYTES} bytes` : undefined;
}
