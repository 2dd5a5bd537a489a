import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { ConfigError } from '../config/config.ts';

/**
 * The text to analyze.
 * @param source a file, or `-` for standard input
 * @throws ConfigError for what is not a text
 */
export async function readInput(source: string): Promise<string> {
  const name = source === '-' ? 'standard input' : source;
  const bytes = await (source === '-' ? buffer(process.stdin) : readFile(source)).catch((cause: Error) => {
    throw new ConfigError(`Cannot read ${name}: ${cause.message}`, { cause });
  });
  const text = decode(bytes, name);
  if (text.trim() === '') throw new ConfigError(`${name} is empty: there is nothing to analyze.`);
  return text;
}

function decode(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${name} is not UTF-8 text. Convert it:  iconv -f … -t utf-8 ${name}`, { cause });
  }
}
