import { quantile } from '../report/statistics.ts';
import { now } from './messages.ts';

/** How a stream of workflows/streams.ts was read. */
export interface Delays {
  tokens: number;
  /** From the writing of the first token to the reading of the last one. */
  totalMs: number;
  /** From the writing of a token to its reading. */
  p50: number;
  p99: number;
}

export async function measureDelays(pieces: AsyncIterable<{ text: string }>): Promise<Delays> {
  const delays: number[] = [];
  let first: number | undefined;
  let last = 0;
  for await (const { text } of pieces) {
    last = now();
    for (const token of text.trim().split(' ')) {
      first ??= Number(token);
      delays.push(last - Number(token));
    }
  }
  if (first === undefined) throw new Error('The stream was empty.');
  return { tokens: delays.length, totalMs: last - first, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
}
