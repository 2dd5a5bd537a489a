import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PgBoss } from 'pg-boss';
import { monotonicFactory, ulid } from 'ulid';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { compileWorkflows } from '../src/compile/compile.ts';
import { ConfigError, environmentSchema, maskSecrets, readConfig } from '../src/config/config.ts';
import { simulateObject, simulateText } from '../src/model/simulated-answers.ts';
import { narrow } from '../src/postgres/database-clock.ts';
import { createEventOrder } from '../src/postgres/event-order.ts';
import { isTransient } from '../src/postgres/transient.ts';
import { createLeases, wasLost } from '../src/queue/leases.ts';
import { decodePayload, encodePayload } from '../src/queue/messages.ts';
import { reasonOf } from '../src/postgres/reason.ts';
import { createHealth } from '../src/health/health.ts';
import { createQueueHandler } from '../src/runtime/handlers.ts';
import { createCheckout } from './support/checkout.ts';
import { PROJECT } from './support/program.ts';

describe('event ids', () => {
  const minute = 60_000;

  test('follow the order of the commits when the clock of a worker is two minutes behind', () => {
    const ahead = createEventOrder(undefined);
    ahead.renumber(`wevt_${ulid(Date.now() + 2 * minute)}`);
    const behind = createEventOrder(ahead.last);
    const [first, second] = [`wevt_${ulid()}`, `wevt_${ulid()}`].map(behind.renumber) as [string, string];

    expect(first > `wevt_${ahead.last}`).toBe(true);
    expect(second > first).toBe(true);
  });

  test('of a run do not take what the writer of its last event gave to another run after that', () => {
    const atOnce = monotonicFactory();
    const [last, ofAnotherRun] = [atOnce(Date.now() + 2 * minute), atOnce(Date.now() + 2 * minute)];
    const id = String(createEventOrder(last).renumber(`wevt_${ulid()}`));
    expect(id > `wevt_${last}`).toBe(true);
    expect(id).not.toBe(`wevt_${ofAnotherRun}`);
  });

  test('are kept where they are in order already, and are the same for the same event', () => {
    const order = createEventOrder(ulid(Date.now() - minute));
    const id = `wevt_${ulid()}`;
    expect(order.renumber(id)).toBe(id);
    expect(order.renumber(id)).toBe(id);
    expect(order.renumber('step_01')).toBe('step_01');
    expect(order.renumber('wevt_a-token-of-a-user')).toBe('wevt_a-token-of-a-user');
    expect(order.last).toBe(id.slice('wevt_'.length));
  });
});

describe('the clock of the database', () => {
  test('is moved by proof only: an answer that took long says little', () => {
    const first = narrow(undefined, 1_000, 1_010);
    expect(first).toBe(1_005);
    expect(narrow(first, 900, 1_100)).toBe(1_005);
    expect(narrow(first, 1_006, 1_016)).toBe(1_006);
    expect(narrow(first, 990, 1_001)).toBe(1_001);
  });
});

describe('configuration', () => {
  test('.env.example names exactly the variables that are read', async () => {
    const example = await readFile(join(PROJECT, '.env.example'), 'utf8');
    const named = [...example.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(named.toSorted()).toEqual(Object.keys(environmentSchema.shape).toSorted());
  });

  test('its defaults are those of the specification', () => {
    expect(readConfig({})).toMatchObject({
      connectionString: undefined,
      jobPrefix: 'workflow_',
      queueConcurrency: 10,
      queueSchema: 'workflow_queue',
    });
  });

  test('every problem is reported at once, with secrets masked', () => {
    const read = () =>
      readConfig({
        WORKFLOW_POSTGRES_URL: 'mysql://me:secret@host/db',
        WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '0',
        WORKFLOW_POSTGRES_JOB_PREFIX: 'a b',
        WORKFLOW_POSTGRES_QUEUE_SCHEMA: 'pgboss',
      });
    expect(read).toThrow(ConfigError);
    for (const problem of ['mysql://me:***@host/db', 'at least 1', 'letters, digits', 'which drops "pgboss"']) {
      expect(read).toThrow(problem);
    }
    expect(read).not.toThrow('secret');
  });

  test('a password is masked wherever a URL stands in a text', () => {
    expect(maskSecrets('cannot reach postgres://u:p@ss@h:5/d now')).toBe('cannot reach postgres://u:***@h:5/d now');
    expect(maskSecrets('postgres://h/d?user=u&password=secret&x=1')).toBe('postgres://h/d?user=u&password=***&x=1');
  });
});

describe('the simulated model', () => {
  const text = 'Trains are great. Trains are late. Stations are beautiful.';
  const prompt = `Analyze.\n\n<content>\n${text}\n</content>`;

  test('gives the same answer to the same prompt, and another one to another', () => {
    expect(simulateText(prompt)).toBe(simulateText(prompt));
    expect(simulateText(prompt)).toContain('trains: “Trains are great.”');
    expect(simulateText(prompt.replaceAll('Trains', 'Ships'))).not.toContain('Trains');
  });

  test.each(['A good day. A great success!', 'hi', '!?', '日本'])('finds a topic in %j', (content) => {
    const schema = z.object({ topics: z.array(z.string().min(1)).min(1) });
    const simulated = simulateObject(z.toJSONSchema(schema), `<content>\n${content}\n</content>`);
    expect(schema.safeParse(simulated).success).toBe(true);
  });

  test('satisfies a schema that it has never seen', () => {
    const schema = z.object({
      topics: z.array(z.string()).min(1),
      score: z.number().min(-1).max(1),
      kind: z.enum(['a', 'b']),
      nested: z.object({ yes: z.boolean(), none: z.null(), either: z.union([z.string(), z.number()]) }),
      numbers: z.array(z.number().min(3)).min(2),
    });
    const answer = schema.parse(simulateObject(z.toJSONSchema(schema), prompt));
    expect(answer.topics).toContain('trains');
  });
});

describe('small parts', () => {
  test('the bytes of a run input survive the queue, which keeps JSON', () => {
    const input = new Uint8Array([0, 1, 254, 255]);
    const runInput = { input, deploymentId: 'd', workflowName: 'w', specVersion: 3 };
    const stored = JSON.parse(JSON.stringify(encodePayload({ runId: 'r', runInput }))) as unknown;
    expect(decodePayload(stored).runInput?.input).toEqual(input);
  });

  test('a lost connection is worth another try, a wrong statement is not', () => {
    const lost = Object.assign(new Error('terminating connection'), { code: '57P01' });
    expect(isTransient(new Error('Failed query', { cause: lost }))).toBe(true);
    expect(isTransient(Object.assign(new Error('syntax error'), { code: '42601' }))).toBe(false);
  });

  test('a job that comes back to the same process under a new count is a lease of its own', () => {
    using leases = createLeases(
      {} as PgBoss,
      createHealth(() => undefined),
    );
    const first = leases.hold('flows', { id: 'job', retryCount: 0 });
    const second = leases.hold('flows', { id: 'job', retryCount: 1 });
    expect([first.signal.aborted, second.signal.aborted]).toEqual([true, false]);
    expect(wasLost(first)).toBe(true);

    leases.release(first);
    leases.abortAll();
    expect(second.signal.reason).toBe('shutdown');
    expect(leases.hold('flows', { id: 'late', retryCount: 0 }).signal.aborted).toBe(true);
  });

  test('what is told about a failure quotes no values, and the queue can keep it', () => {
    const cause = new Error('invalid \0 byte');
    expect(reasonOf(new Error('Failed query: … params: the text of a user', { cause }))).toBe('invalid  byte');
  });

  test('nobody can deliver work over HTTP', async () => {
    const route = createQueueHandler('__wkf_step_', async () => undefined);
    expect((await route(new Request('http://127.0.0.1/', { method: 'POST', body: '{}' }))).status).toBe(403);
  });

  test('the code version is the same on every machine, and not changed by the body of a step', async () => {
    const { checkout } = await createCheckout(0o755);
    const compile = (root: string) => compileWorkflows(root, [join(root, 'workflow-example.ts')]);
    const [here, there] = await Promise.all([compile(PROJECT), compile(checkout)]);
    expect(there.codeVersion).toBe(here.codeVersion);

    const source = await readFile(join(checkout, 'workflow-example.ts'), 'utf8');
    const edited = async (from: string, to: string) => {
      expect(source).toContain(from);
      await writeFile(join(checkout, 'workflow-example.ts'), source.replace(from, to));
      return (await compile(checkout)).codeVersion;
    };
    expect(await edited('Extract the key topics', 'List the key topics')).toBe(here.codeVersion);
    expect(await edited("sleep('3s')", "sleep('4s')")).not.toBe(here.codeVersion);
  });
});
