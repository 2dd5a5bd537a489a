import { stripVTControlCharacters } from 'node:util';

interface SwcError {
  text: string;
  line: number;
  column: number;
}

const MESSAGE = /^ {0,4}[x×] (.*)/;
const PLACE = /^ {0,9}[,╭][-─]{1,4}\[(?:.*:)?(\d{1,9}):\d{1,9}\]/;
const CARET = /^ {0,9}[:·] ( *)[\^─]/;

/** The compiler throws one text: each error with a piece of the source, then a stack of its own insides. */
export function readSwcErrors(message: string): SwcError[] {
  const errors: SwcError[] = [];
  for (const line of stripVTControlCharacters(message).split('\n')) {
    const error = errors.at(-1);
    const text = MESSAGE.exec(line)?.[1];
    if (text !== undefined) errors.push({ text, line: 1, column: 1 });
    else if (error) {
      error.line = Number(PLACE.exec(line)?.[1] ?? error.line);
      const indent = CARET.exec(line)?.[1];
      if (indent !== undefined && error.column === 1) error.column = indent.length + 1;
    }
  }
  return errors;
}
