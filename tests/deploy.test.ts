import { globSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, matchesGlob } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { compileWorkflows } from '../src/compile/compile.ts';
import { createTestDatabase } from './support/database.ts';
import { PROJECT, startProgram } from './support/program.ts';

interface Service {
  environment: Record<string, string | null>;
  depends_on: Record<string, { condition: string }>;
  [key: string]: unknown;
}

const read = (file: string) => readFile(join(PROJECT, file), 'utf8');
const compose = parse(await read('docker-compose.yaml'), { merge: true }) as { services: Record<string, Service> };

test('`docker-compose up -d postgres` is the `docker run` of the specification, for this machine only', () => {
  const { postgres } = compose.services;

  // docker run -d --name workflow-postgres -e POSTGRES_PASSWORD=postgres -e POSTGRES_DB=workflow_dev
  //   -p 5432:5432 postgres:16-alpine
  expect(postgres).toMatchObject({
    container_name: 'workflow-postgres',
    environment: { POSTGRES_PASSWORD: 'postgres', POSTGRES_DB: 'workflow_dev' },
    ports: ['127.0.0.1:5432:5432'],
    image: 'postgres:16-alpine',
  });
});

test('three workers start when the schema is there, and get no secret but the one that they are given', () => {
  const { setup, worker } = compose.services;

  expect(setup).toMatchObject({ depends_on: { postgres: { condition: 'service_healthy' } } });
  expect(worker).toMatchObject({
    depends_on: { setup: { condition: 'service_completed_successfully' } },
    deploy: { replicas: 3 },
    environment: {
      // postgres://postgres:postgres@localhost:5432/workflow_dev, as it is called among the containers
      WORKFLOW_POSTGRES_URL: 'postgres://postgres:postgres@postgres:5432/workflow_dev',
      // Passed on from outside.
      ANTHROPIC_API_KEY: null,
      WORKFLOW_MODEL: null,
    },
  });
});

test('the image contains no secrets, no data, and nothing that was installed or compiled here', async () => {
  const ignored = await ignoredByDocker();

  for (const path of ['.env', '.postgres', 'node_modules', '.workflow', '.test', '.git']) {
    expect(ignored).toContain(path);
  }
});

test('a worker runs on the files that the Dockerfile copies, and takes the runs begun outside of it', async () => {
  const image = await mkdtemp(join(tmpdir(), 'postgres-world-image-'));
  onTestFinished(() => rm(image, { recursive: true, force: true }));
  for (const file of await copiedFiles()) {
    await mkdir(dirname(join(image, file)), { recursive: true });
    await cp(join(PROJECT, file), join(image, file));
  }
  await symlink(join(PROJECT, 'node_modules'), join(image, 'node_modules'));
  const [, command = '[]'] = /^CMD (.*)$/m.exec(await read('Dockerfile')) ?? [];
  // startProgram is `node --import tsx` too.
  const [node, option, tsx, file = '', ...args] = JSON.parse(command) as string[];
  expect([node, option, tsx]).toEqual(['node', '--import', 'tsx']);
  const { url } = await createTestDatabase();

  const worker = startProgram(file, args, { cwd: image, env: { WORKFLOW_POSTGRES_URL: url } });

  const { codeVersion } = await compileWorkflows(PROJECT, [join(PROJECT, 'workflow-example.ts')]);
  await worker.says(`code ${codeVersion}-simulated.`);
});

/** What the COPY lines of the Dockerfile name, with the files below folders. */
async function copiedFiles(): Promise<string[]> {
  const ignored = await ignoredByDocker();
  const sources = [...(await read('Dockerfile')).matchAll(/^COPY (.*) \S+$/gm)].flatMap(([, list = '']) =>
    list.split(' '),
  );
  const files: string[] = [];
  for (const source of sources) {
    const found = globSync([source, `${source}/**/*.*`], { cwd: PROJECT });
    expect(found, `nothing is named ${source}`).not.toEqual([]);
    files.push(...found.filter((file) => file.includes('.') && !ignored.some((pattern) => matchesGlob(file, pattern))));
  }
  return files;
}

async function ignoredByDocker(): Promise<string[]> {
  return (await read('.dockerignore')).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
