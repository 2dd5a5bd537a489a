import { leadsToApi } from './cli-environment.ts';

/** Keys and tokens of Anthropic, wherever they come from: the user's login has some that are in no variable. */
const ANTHROPIC_KEY = /\bsk-ant-[\w-]+/g;

/** Among the variables that lead to an API, those that are secret, or may be. */
const SECRET = /KEY|TOKEN|SECRET|PASSPHRASE|PASSWORD|CUSTOM_HEADERS/;

/** Shorter values are no secrets, and would be found in words. */
const SHORTEST = 8;

/** The text without the secrets of a login to Claude, which an API or the CLI may echo: for logs and stored errors. */
export function withoutKeys(text: string): string {
  return secrets().reduce((rest, secret) => rest.replaceAll(secret, '***'), text.replace(ANTHROPIC_KEY, 'sk-ant-***'));
}

/** Of the environment; the longest first, for one that is part of another. */
function secrets(): string[] {
  return Object.entries(process.env)
    .filter(([name]) => leadsToApi(name) && SECRET.test(name))
    .flatMap(([name, value = '']) => (name === 'ANTHROPIC_CUSTOM_HEADERS' ? headerValues(value) : [value]))
    .filter((value) => value.length >= SHORTEST)
    .toSorted((a, b) => b.length - a.length);
}

/** Of lines like `Name: value`. */
function headerValues(lines: string): string[] {
  return lines.split('\n').map((line) => line.slice(line.indexOf(':') + 1).trim());
}
