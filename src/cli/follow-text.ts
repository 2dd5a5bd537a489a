import type { World } from '@workflow/world';
import { readText, type TextPiece } from '../streams/read-text.ts';
import type { Output } from './output.ts';

const NOTES = {
  failed: 'The step failed: the text above does not count.',
  interrupted: 'The step was interrupted; from its beginning:',
} satisfies Record<NonNullable<TextPiece['discards']>, string>;

/** Shows the text of a run as it is written. Where a step was repeated, says that what is above does not count. */
export async function followText(world: World, runId: string, output: Pick<Output, 'stream'>): Promise<void> {
  for await (const piece of readText(world, runId)) showPiece(piece, output);
}

export function showPiece({ text, discards }: TextPiece, output: Pick<Output, 'stream'>): void {
  output.stream(discards ? `\n\n↻ ${NOTES[discards]}\n\n${text}` : text);
}
