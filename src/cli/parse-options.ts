import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './usage-error.ts';

/** `parseArgs`, whose complaints become usage errors. @throws UsageError */
export function parseOptions<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    // What follows the first sentence is advice for a word that begins with a dash.
    throw new UsageError((cause as Error).message.split('. ')[0], { cause });
  }
}
