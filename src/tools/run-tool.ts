import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';

export interface ToolProcess {
  /** Absolute path of the tool's program. */
  program: string;
  args: string[];
  /** URLs of modules that are loaded before it. */
  preloads: string[];
  /** Added to our environment. */
  env: Record<string, string>;
}

/** How long a tool gets to end by itself. */
const GRACE_MS = 3_000;

/**
 * Runs a tool to its end, in our terminal.
 * @param stopping ends the tool
 * @returns its exit code; after a signal the shell's, 128 and the signal's number
 * @throws Interrupted, the reason of `stopping`, when the tool has ended
 */
export async function runTool({ program, args, preloads, env }: ToolProcess, stopping: AbortSignal): Promise<number> {
  const imports = [import.meta.resolve('./preload.ts'), ...preloads].flatMap((url) => ['--import', url]);
  const child = spawn(process.execPath, [...imports, program, ...args], {
    // WORKFLOW_TARGET_WORLD is relative to it, and so is what the page shows as the World.
    cwd: join(import.meta.dirname, '../..'),
    env: { ...process.env, ...env },
    // The channel tells the tool when we are gone.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    // A terminal's Ctrl+C it got itself; this is for a signal that was sent to us alone.
    child.kill('SIGTERM');
    timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  stopping.addEventListener('abort', stop, { once: true });
  if (stopping.aborted) stop();
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    stopping.throwIfAborted();
    return code ?? 128 + constants.signals[signal ?? 'SIGKILL'];
  } finally {
    clearTimeout(timer);
    stopping.removeEventListener('abort', stop);
  }
}
