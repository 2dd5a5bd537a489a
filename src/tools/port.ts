import { once } from 'node:events';
import { connect } from 'node:net';
import { ConfigError } from '../config/config.ts';
import type { ToolCall } from './tool-call.ts';

/** What the tools listen on by default. */
const USUAL_PORT = { inspect: undefined, web: 3456, dashboard: 3000 };

const TRIES = 20;

/**
 * The port for a page: the one that was asked for, or the usual one, or the next that is free.
 * `workflow web` itself takes any answer on its port for its own page, and ends well.
 * @returns undefined for what serves no page
 * @throws ConfigError where the port that was asked for is taken
 */
export async function choosePort({ tool, port }: ToolCall, note: (line: string) => void): Promise<number | undefined> {
  if (port !== undefined) {
    if (await isTaken(port)) throw new ConfigError(`Port ${port} is taken. Choose another one:  --port N`);
    return port;
  }
  const usual = USUAL_PORT[tool];
  if (usual === undefined) return undefined;
  for (let candidate = usual; candidate < usual + TRIES; candidate += 1) {
    if (await isTaken(candidate)) continue;
    if (candidate !== usual) note(`Port ${usual} is taken: this is on ${candidate}.`);
    return candidate;
  }
  throw new ConfigError(`Ports ${usual} to ${usual + TRIES - 1} are all taken. Choose another one:  --port N`);
}

/** By asking: whoever listens on the other loopback address (::1) would get the browser's requests. */
async function isTaken(port: number): Promise<boolean> {
  const socket = connect({ host: 'localhost', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
