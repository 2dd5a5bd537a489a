import { leadsToApi } from './cli-environment.ts';

/** Keys and tokens of Anthropic, wherever they come from: the user's login has some that are in no variable. */
const ANTHROPIC_KEY = /\bsk-ant-[\w-]+/g;

/** `http://user:password@proxy` */
const CREDENTIALS = /(?<=:\/\/)[^/\s@]+(?=@)/g;

/** Given to calls in code, beside the environment. */
const given = new Set<string>();

/** Has the secrets among the variables of one call removed, too. */
export function rememberSecrets(variables: Record<string, string | undefined> = {}): void {
  for (const secret of secretsOf(variables, () => true)) given.add(secret);
}

/** Among the variables that lead to an API, those that are secret, or may be. */
const SECRET = /KEY|TOKEN|SECRET|PASSPHRASE|PASSWORD|CUSTOM_HEADERS/;

/** Shorter values are no secrets, and would be found in words. */
const SHORTEST = 8;

/** The text without the secrets of a login to Claude, which an API or the CLI may echo: for logs and stored errors. */
export function withoutKeys(text: string): string {
  // The longest first, for one that is part of another.
  const secrets = [...new Set([...given, ...secretsOf(process.env)])].toSorted((a, b) => b.length - a.length);
  const known = secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
  return known.replace(ANTHROPIC_KEY, 'sk-ant-***').replace(CREDENTIALS, '***');
}

function secretsOf(variables: Record<string, string | undefined>, isOurs = leadsToApi): string[] {
  return Object.entries(variables)
    .filter(([name]) => isOurs(name) && SECRET.test(name))
    .flatMap(([name, value = '']) => (name === 'ANTHROPIC_CUSTOM_HEADERS' ? headerValues(value) : [value]))
    .filter((value) => value.length >= SHORTEST);
}

/** Of lines like `Name: value`. */
function headerValues(lines: string): string[] {
  return lines.split('\n').map((line) => line.slice(line.indexOf(':') + 1).trim());
}
