/**
 * Loaded into a tool before its own code. What it serves is reachable from this machine only:
 * `workflow web` listens on every interface and has no option for it (@workflow/web 4.1.25, server.js),
 * but shows every input to whoever asks, and starts and cancels runs for them.
 */
import { Server } from 'node:net';

const listen = Server.prototype.listen as (...args: unknown[]) => Server;

Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const [port, host, ...rest] = args;
  if (typeof port !== 'number' || typeof host === 'string') return listen.apply(this, args);
  return listen.call(this, port, '127.0.0.1', host, ...rest);
};

// Nor does it outlive who started it, be that killed.
process.on('disconnect', () => process.exit(1));
process.channel?.unref();
