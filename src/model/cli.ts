import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { z } from 'zod';

/** What the provider lets its child inherit: nothing else of our environment reaches the model's process. */
const INHERITED =
  /^(HOME|LOGNAME|PATH|SHELL|TERM|USER|LANG|LC_ALL|TMPDIR|HTTPS?_PROXY|NO_PROXY)$|^(ANTHROPIC|CLAUDE|AWS|GOOGLE)_/i;

/**
 * Set for every call: no telemetry, no updates, and no retries beneath ours (the CLI's own take 186 s to report a
 * 401). Its watchdog would wait for a rate limit however long; so it announces when, and is killed (see calls.ts).
 */
export const CLI_SETTINGS = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_AUTOUPDATER: '1',
  CLAUDE_CODE_MAX_RETRIES: '0',
  CLAUDE_CODE_RETRY_WATCHDOG: '1',
  CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: '1',
};

/** The environment of a real call. HOME and the configuration stay the user's: the login lives there. */
export function cliEnvironment(): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name, value]) => value !== undefined && INHERITED.test(name));
  return { ...(Object.fromEntries(inherited) as Record<string, string>), ...CLI_SETTINGS };
}

/**
 * The path of the Claude Code CLI that npm installed for this platform.
 * @throws Error where there is none, for example after `npm ci --omit=optional`
 */
export function cliPath(): string {
  // The package is a dependency of the agent SDK, which is a dependency of the provider.
  const provider = createRequire(import.meta.resolve('ai-sdk-provider-claude-code'));
  const sdk = createRequire(provider.resolve('@anthropic-ai/claude-agent-sdk'));
  const binary = process.platform === 'win32' ? 'claude.exe' : 'claude';
  for (const libc of ['', '-musl']) {
    try {
      return sdk.resolve(`@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}${libc}/${binary}`);
    } catch {
      // The other C library, or neither.
    }
  }
  throw new Error(
    `The Claude Code CLI for ${process.platform}-${process.arch} is not installed.\n  Run: npm ci (without --omit=optional)`,
  );
}

const authStatus = z.object({ loggedIn: z.boolean() });

/** Whether calls with {@link cliEnvironment} would be authenticated, as the CLI itself sees it. Needs no network. */
export async function isLoggedIn(): Promise<boolean> {
  const { stdout } = await promisify(execFile)(cliPath(), ['auth', 'status', '--json'], {
    env: cliEnvironment(),
    timeout: 20_000,
  }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }));
  try {
    return authStatus.parse(JSON.parse(stdout)).loggedIn;
  } catch {
    return false;
  }
}
