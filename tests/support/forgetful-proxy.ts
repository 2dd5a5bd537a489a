import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A way to the database on which the answer to one COMMIT gets lost, and with it the connection: the
 * first one after `statement` was sent.
 */
export async function startForgetfulProxy(url: string, statement: string) {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let lost = 0;
  const server = createServer((client) => {
    const database = connect(Number(port), hostname);
    for (const socket of [client, database]) sockets.add(socket.on('error', () => undefined));
    let [armed, committing] = [false, false];
    client.on('data', (sent) => {
      armed ||= sent.includes(statement);
      committing ||= armed && lost === 0 && sent.includes('COMMIT');
      database.write(sent);
    });
    database.on('data', (answer) => {
      if (committing) {
        committing = armed = false;
        lost += 1;
        client.destroy();
      } else client.write(answer);
    });
    client.on('close', () => database.end());
    database.on('close', () => client.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const proxied = Object.assign(new URL(url), {
    hostname: '127.0.0.1',
    port: String((server.address() as AddressInfo).port),
  });
  return { url: proxied.href, lostAnswers: () => lost };
}
