import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import { onTestFinished } from 'vitest';

const CHROMIUM = '/usr/bin/chromium';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Browser {
  context: BrowserContext;
  /** Errors that were thrown on any page, and failed requests to this machine. */
  errors: string[];
}

/** Debian's Chromium with a fresh profile. It sees this machine only: fonts and the like from elsewhere are refused. */
export async function openBrowser(): Promise<Browser> {
  await access(CHROMIUM).catch(() => {
    throw new Error(`There is no ${CHROMIUM}. Run: apt-get install chromium`);
  });
  const profile = await mkdtemp(join(tmpdir(), 'postgres-world-browser-'));
  onTestFinished(() => rm(profile, { recursive: true, force: true, maxRetries: 3 }));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: ARGUMENTS,
    viewport: { width: 1280, height: 720 },
    colorScheme: 'light',
  });
  // Registered later, so it happens before the profile is removed.
  onTestFinished(() => context.close());
  context.setDefaultTimeout(20_000);
  const errors: string[] = [];
  await context.route(
    ({ hostname }) => hostname !== '127.0.0.1' && hostname !== 'localhost',
    (route) => route.abort(),
  );
  context.on('weberror', (error) => errors.push(error.error().message));
  context.on('response', (response) => {
    if (response.status() >= 400) errors.push(`${response.status()} ${response.url()}`);
  });
  return { context, errors };
}
