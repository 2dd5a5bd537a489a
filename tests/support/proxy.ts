import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onEnd } from './on-end.ts';

export interface Proxy {
  /** The URL through it. */
  url: string;
  /**
   * Nothing comes through any more: `silently`, as behind a host that is gone, or with a reset for
   * every connection. Connections of before stay dead afterwards.
   */
  cut(how: 'silently' | 'with resets'): void;
  /** New connections come through again. */
  restore(): void;
}

/** A network between a program and the server of a URL, which a test can cut. */
export async function startProxy(url: string): Promise<Proxy> {
  const { hostname, port } = new URL(url);
  const open = new Set<Socket>();
  let state: 'open' | 'silently' | 'with resets' = 'open';

  const server = createServer((inner) => {
    track(inner);
    if (state === 'with resets') inner.resetAndDestroy();
    if (state !== 'open') return;
    const outer = track(connect(Number(port), hostname));
    inner.pipe(outer).pipe(inner);
    inner.once('close', () => outer.destroy());
    outer.once('close', () => inner.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onEnd(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });

  function track(socket: Socket): Socket {
    open.add(socket);
    socket.once('close', () => open.delete(socket)).on('error', () => undefined);
    return socket;
  }

  return {
    url: Object.assign(new URL(url), { hostname: '127.0.0.1', port: (server.address() as AddressInfo).port }).href,
    cut(how) {
      state = how;
      for (const socket of open) {
        if (how === 'with resets') socket.resetAndDestroy();
        else socket.unpipe().pause();
      }
    },
    restore() {
      state = 'open';
    },
  };
}
