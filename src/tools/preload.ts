/**
 * Loaded into a tool before its own code. What it serves is for this machine and its own pages only:
 * `workflow web` listens on every interface and has no option for it (@workflow/web 4.1.25, server.js),
 * shows every input to whoever asks, and starts and cancels runs for them.
 */
import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Server, type Socket } from 'node:net';

const listen = Server.prototype.listen as (...args: unknown[]) => Server;

Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const [port, host, ...rest] = args;
  if (typeof port !== 'number' || typeof host === 'string') return listen.apply(this, args);
  return listen.call(this, port, '127.0.0.1', host, ...rest);
};

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/** Any page in the user's browser can send requests to a port of this machine, and give it a name of its own (DNS rebinding). */
function isFromOurPage({ headers: { host = '', origin } }: IncomingMessage): boolean {
  return LOOPBACK.test(host) && (origin === undefined || origin === `http://${host}`);
}

const emit = HttpServer.prototype.emit as (...args: unknown[]) => boolean;

HttpServer.prototype.emit = function (this: HttpServer, event: string, ...args: unknown[]): boolean {
  if ((event !== 'request' && event !== 'upgrade') || isFromOurPage(args[0] as IncomingMessage)) {
    return emit.call(this, event, ...args);
  }
  if (event === 'upgrade') (args[1] as Socket).destroy();
  else (args[1] as ServerResponse).writeHead(403).end('This page is for this machine only.');
  return true;
};

// Nor does it outlive who started it, be that killed.
process.on('disconnect', () => process.exit(1));
process.channel?.unref();
