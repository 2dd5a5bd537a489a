const POSITIVE = new Set(
  'good great excellent love loved loves amazing impressive fast reliable helpful delighted happy improved improves better best success successful wonderful clear easy powerful benefit benefits gain gains progress promising thrilled exciting robust growth strong'.split(
    ' ',
  ),
);
const NEGATIVE = new Set(
  'bad poor terrible hate hated hates awful slow unreliable broken crash crashes crashed fail fails failed failure angry sad worse worst problem problems bug bugs confusing hard difficult risk risks loss lost concern concerns weak expensive disappointed disappointing frustrating doubt'.split(
    ' ',
  ),
);
const STOP_WORDS = new Set(
  'about above after already came finished first found left made morning moving nothing simply spent start still took used week whole again against also although among another because been before being below between both cannot could does doing down during each every few from further have having here hers herself himself however into itself just many might more most much must myself once only other ours over same should since some such than that their theirs them then there these they this those through today toward under until upon very were what when where which while whom whose will with within without would your yours'.split(
    ' ',
  ),
);

const words = (text: string) => text.toLowerCase().match(/\p{L}[\p{L}\p{N}-]*/gu) ?? [];

export interface Sentiment {
  /** -1 … 1, two decimals. */
  score: number;
  positive: string[];
  negative: string[];
}

export function scoreSentiment(text: string): Sentiment {
  const found = words(text);
  const positive = found.filter((word) => POSITIVE.has(word));
  const negative = found.filter((word) => NEGATIVE.has(word));
  // The two extra words keep a single one from deciding everything.
  const score = (positive.length - negative.length) / (positive.length + negative.length + 2);
  return {
    score: Math.round(score * 100) / 100,
    positive: [...new Set(positive)],
    negative: [...new Set(negative)],
  };
}

/** The longer words that occur most, at least one; of those that occur as often, the first. */
export function keyTerms(text: string, count: number): string[] {
  const frequency = new Map<string, number>();
  for (const word of words(text)) {
    const tellsNothing = word.length < 4 || [STOP_WORDS, POSITIVE, NEGATIVE].some((list) => list.has(word));
    if (!tellsNothing) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  const terms = [...frequency].toSorted(([, a], [, b]) => b - a).map(([word]) => word);
  if (terms.length > 0) return terms.slice(0, count);
  const [longest = 'text'] = words(text).toSorted((a, b) => b.length - a.length);
  return [longest];
}

export function sentences(text: string): string[] {
  return (text.match(/[^.!?\n]+[.!?]*/g) ?? []).map((sentence) => sentence.trim()).filter(Boolean);
}

/** What stands between the first `<tag>` and the last `</tag>` of a prompt. */
export function tagged(prompt: string, tag: string): string | undefined {
  const [opening, closing] = [`<${tag}>`, `</${tag}>`];
  const begin = prompt.indexOf(opening);
  const end = prompt.lastIndexOf(closing);
  if (begin < 0 || end < begin + opening.length) return undefined;
  return prompt.slice(begin + opening.length, end).trim();
}
