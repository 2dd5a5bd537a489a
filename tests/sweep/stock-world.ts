import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getQueuePrefixKind, type QueueKind, type World } from '@workflow/world';
import { createWorld } from '@workflow/world-postgres';
import { compileWorkflows, type Compiled } from '../../src/compile/compile.ts';
import { setCurrent, type RunningWorld } from '../../src/runtime/current-world.ts';

type Route = (request: Request) => Promise<Response>;

/**
 * `@workflow/world-postgres` as it comes, for comparison: its own queue, which delivers to this
 * process by HTTP, and its own streams. It drops a schema `pgboss`: only for databases of the sweep.
 */
export async function startStockWorld(workflowFile: string): Promise<Compiled['workflows']> {
  const routes = new Map<QueueKind, Route>();
  const server = createServer((request, response) => void answer(routes, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.env.WORKFLOW_LOCAL_BASE_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const stock = createWorld({ connectionString: process.env.WORKFLOW_POSTGRES_URL!, queueConcurrency: 10 });
  const world: World = {
    ...stock,
    // The bundles hand their handlers in, and export what they get for them; taken on the way.
    createQueueHandler(prefix, handler) {
      const route = stock.createQueueHandler(prefix, handler);
      routes.set(getQueuePrefixKind(prefix), route);
      return route;
    },
  };
  setCurrent({ world } as RunningWorld);
  process.env.WORKFLOW_TARGET_WORLD = fileURLToPath(import.meta.resolve('../../src/runtime/current-world.ts'));
  const compiled = await compileWorkflows(join(import.meta.dirname, '../..'), [workflowFile]);
  await compiled.load();
  await world.start?.();
  return compiled.workflows;
}

async function answer(routes: Map<QueueKind, Route>, request: IncomingMessage, response: ServerResponse) {
  const route = routes.get(request.url?.endsWith('/flow') ? 'workflow' : 'step');
  const body = Buffer.concat(await request.toArray());
  const headers = request.headers as Record<string, string>;
  const given = await route?.(new Request(`http://stock${request.url}`, { method: 'POST', headers, body }));
  response.writeHead(given?.status ?? 404, Object.fromEntries(given?.headers ?? []));
  response.end(await given?.text());
}
