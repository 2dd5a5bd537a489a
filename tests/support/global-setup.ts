import type { TestProject } from 'vitest/node';
import { startTestServer } from './test-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server for tests only. */
    serverUrl: string;
    /** A database that was set up, to make others from. */
    templateDatabase: string;
  }
}

export default async function setup(project: TestProject) {
  const server = await startTestServer();
  project.provide('serverUrl', server.url);
  project.provide('templateDatabase', server.template);
  return () => server[Symbol.asyncDispose]();
}
