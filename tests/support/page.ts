import { onTestFinished } from 'vitest';
import { startCommand, type Program, type ProgramOptions } from './program.ts';
import { freePort } from '../../src/postgres/embedded/free-port.ts';

export interface Page extends Program {
  url: string;
  port: number;
}

/** Starts a tool that serves a page as users do, and waits until it is there. */
export async function startPage(tool: 'web' | 'dashboard', options: ProgramOptions): Promise<Page> {
  const port = await freePort();
  const args = ['run', `postgres-world:${tool}`, '--', '--port', String(port)];
  const program = startCommand('npm', args, { ...options, group: true });
  let ended = false;
  void program.exited.then(() => (ended = true));
  // All of the group: npm's shell does not pass a SIGTERM on.
  onTestFinished(async () => {
    if (!ended) program.interrupt();
    await program.exited;
  });
  await program.says(tool === 'web' ? 'Press Ctrl+C' : 'listening on');
  return Object.assign(program, { url: `http://127.0.0.1:${port}`, port });
}
