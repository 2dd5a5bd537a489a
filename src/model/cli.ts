import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { z } from 'zod';
import { cliEnvironment } from './cli-environment.ts';

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

/** For every call of the CLI by itself, as the provider gives it, too: settings of the user are not the login. */
export const NO_SETTINGS = '--setting-sources=';

const authStatus = z.object({ loggedIn: z.boolean() });

/** Whether calls would be authenticated, as the CLI itself sees it, asked as they are made. Needs no network. */
export async function isLoggedIn(): Promise<boolean> {
  const { stdout } = await promisify(execFile)(cliPath(), [NO_SETTINGS, 'auth', 'status', '--json'], {
    env: cliEnvironment(),
    timeout: 20_000,
  }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }));
  try {
    return authStatus.parse(JSON.parse(stdout)).loggedIn;
  } catch {
    return false;
  }
}
