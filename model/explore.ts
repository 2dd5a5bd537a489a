import { isEnd, isHookWaiting, movesOf, type Kind } from './protocol.ts';
import { keyOf } from './state-key.ts';
import { initialState, type Model, type State } from './state.ts';

interface CounterExample {
  /** What does not hold. */
  broken: string;
  /** The actions that lead there, the fewest that do. */
  trace: string[];
}

export interface Exploration {
  states: number;
  transitions: number;
  counterExample: CounterExample | undefined;
}

/** Thrown instead of an answer: nothing is proven by a search that was cut off. */
export class TooManyStates extends Error {}

/** Edges of the graph, by the kind that decides whether a property may rely on them. */
interface Edges {
  from: number[];
  to: number[];
  late: boolean[];
}

/**
 * Visits every state that can be reached, nearest first, and then looks whether the end can be
 * reached from each: without faults from all of them; without the sweep, too, from those in which nothing has died or got lost.
 */
export function explore(model: Model, maxStates: number): Exploration {
  const initial = initialState(model);
  const numbers = new Map<string, number>([[keyOf(initial), 0]]);
  const parents = [-1];
  const ordinals = [-1];
  const ends: number[] = [];
  const healthy: boolean[] = [true];
  const edges: Edges = { from: [], to: [], late: [] };
  // Only the states that are still to be visited are kept; the rest are numbers.
  let frontier: State[] = [initial];
  let first = 0;
  let transitions = 0;

  const found = (broken: string, number: number, last?: string): Exploration => {
    const trace = [...traceTo(model, parents, ordinals, number), ...(last ? [last] : [])];
    return { states: parents.length, transitions, counterExample: { broken, trace } };
  };

  while (frontier.length > 0) {
    const next: State[] = [];
    for (const [offset, state] of frontier.entries()) {
      const number = first + offset;
      if (isEnd(state)) ends.push(number);
      for (const [ordinal, move] of movesOf(state, model).entries()) {
        transitions += 1;
        if (move.next.broken) return found(move.next.broken, number, move.label);
        const key = keyOf(move.next);
        let to = numbers.get(key);
        if (to === undefined) {
          to = parents.length;
          if (to >= maxStates) throw new TooManyStates(`${model.name} has more than ${maxStates} states`);
          numbers.set(key, to);
          parents.push(number);
          ordinals.push(ordinal);
          healthy.push(isHealthy(move.next, model));
          next.push(move.next);
        }
        if (move.kind !== 'fault') {
          edges.from.push(number);
          edges.to.push(to);
          edges.late.push(isLate(move.kind, state, model));
        }
      }
    }
    first += frontier.length;
    frontier = next;
  }

  const stuck = firstUnreachable(parents.length, edges, ends, () => true, true);
  if (stuck !== undefined) return found('the run never comes to its end, though nothing more dies', stuck);
  const late = firstUnreachable(parents.length, edges, ends, (state) => healthy[state]!, false);
  if (late !== undefined)
    return found('nothing has died, and yet the run waits for the sweep, or its hook for a timer', late);
  return { states: parents.length, transitions, counterExample: undefined };
}

/** A lease that lapsed is no excuse for a wake that comes late. */
function isHealthy(state: State, { crashes, stops, truncates }: Model): boolean {
  return state.crashes === crashes && state.stops === stops && state.truncates === truncates;
}

function isLate(kind: Kind, state: State, model: Model): boolean {
  return kind === 'sweep' || (kind === 'time' && isHookWaiting(state, model));
}

/** The nearest of the states that `matters` selects from which no end can be reached. */
function firstUnreachable(
  count: number,
  { from, to, late }: Edges,
  ends: readonly number[],
  matters: (state: number) => boolean,
  withLate: boolean,
): number | undefined {
  // The edges by their targets, as one array with an index.
  const starts = new Int32Array(count + 1);
  for (const target of to) starts[target + 1]! += 1;
  for (let state = 0; state < count; state += 1) starts[state + 1]! += starts[state]!;
  const filled = starts.slice();
  const backwards = new Int32Array(to.length);
  for (const [edge, target] of to.entries()) backwards[filled[target]!++] = edge;

  const reaches = new Uint8Array(count);
  const pending = [...ends];
  for (const end of ends) reaches[end] = 1;
  for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
    for (let index = starts[state]!; index < starts[state + 1]!; index += 1) {
      const edge = backwards[index]!;
      const source = from[edge]!;
      if (reaches[source] || (late[edge] && !withLate)) continue;
      reaches[source] = 1;
      pending.push(source);
    }
  }
  for (let state = 0; state < count; state += 1) if (!reaches[state] && matters(state)) return state;
  return undefined;
}

/** The actions on the way to a state, made again from the beginning. */
function traceTo(model: Model, parents: number[], ordinals: number[], number: number): string[] {
  const path: number[] = [];
  for (let at = number; parents[at]! >= 0; at = parents[at]!) path.unshift(ordinals[at]!);
  const trace: string[] = [];
  let state = initialState(model);
  for (const ordinal of path) {
    const move = movesOf(state, model)[ordinal]!;
    trace.push(move.label);
    state = move.next;
  }
  return trace;
}
