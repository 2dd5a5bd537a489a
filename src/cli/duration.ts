import { UsageError } from './usage-error.ts';

const SECONDS_PER_UNIT: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const LONGEST_SECONDS = 100 * 365 * SECONDS_PER_UNIT.d!;

/**
 * `30d` → 2592000 seconds. A whole number and its unit, both, because a mistake here removes data:
 * `ms`, which the Workflow packages use, takes `30` for milliseconds and accepts `-3d`.
 * @throws UsageError naming what is allowed
 */
export function parseDuration(text: string, option: string): number {
  const [, number = '', unit = ''] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  const seconds = Number(number) * (SECONDS_PER_UNIT[unit] ?? NaN);
  if (seconds <= LONGEST_SECONDS) return seconds;
  throw new UsageError(
    `${option} ${text || '""'} is no duration: write a whole number and a unit, as in 30d (s, m, h, d or w; at most 100 years).`,
  );
}
