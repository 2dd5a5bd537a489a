import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { ConfigError } from '../config/config.ts';

/** About 125,000 tokens: more leaves Claude no room for the prompt around it and for the answer. */
const MAX_CHARACTERS = 500_000;

/**
 * The text to analyze.
 * @param source a file, or `-` for standard input
 * @throws ConfigError for what is not a text
 */
export async function readInput(source: string): Promise<string> {
  const name = source === '-' ? 'standard input' : source;
  const bytes = await (source === '-' ? buffer(process.stdin) : readFile(source)).catch((cause: Error) => {
    throw new ConfigError(
      `Cannot read ${name}: ${cause.message}\n  Give --input a text file, or - for standard input.`,
      {
        cause,
      },
    );
  });
  const text = decode(bytes, name);
  if (text.trim() === '') throw new ConfigError(`${name} is empty: there is nothing to analyze.`);
  if (text.length > MAX_CHARACTERS) {
    const [length, most] = [text.length, MAX_CHARACTERS].map((it) => it.toLocaleString('en'));
    throw new ConfigError(`${name} has ${length} characters; at most ${most} can be analyzed at once.\n  Split it.`);
  }
  if (text.includes('\0')) {
    throw new ConfigError(
      `${name} contains NUL characters: it is not a text, or it is UTF-16.\n  Remove them:  tr -d '\\000' < FILE, or convert it:  iconv -f utf-16 -t utf-8 FILE`,
    );
  }
  return text;
}

function decode(bytes: Buffer, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${name} is not UTF-8 text. Convert it:  iconv -f … -t utf-8 ${name}`, { cause });
  }
}
