import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { cliPath } from '../src/model/cli.ts';
import { cliEnvironment } from '../src/model/cli-environment.ts';
import { createApplication } from './support/application.ts';
import { createTestDatabase } from './support/database.ts';
import { loggedInTo, startMessagesApi } from './support/messages-api.ts';
import { PROJECT, run, startProgram } from './support/program.ts';

const INDEX = join(PROJECT, 'index.ts');

test("what the user has set up for Claude Code stays out of a step's call", async () => {
  const home = await createHome();
  const api = await startMessagesApi(() => ({ text: 'An answer.' }));
  const login = { ...loggedInTo(api), ...home.variables };

  // By itself, the CLI does all that the user has asked for.
  const asUser = { env: { PATH: process.env.PATH, ...login }, cwd: home.directory };
  const cli = promisify(execFile)(cliPath(), ['-p', 'Hi'], asUser);
  cli.child.stdin?.end();
  await cli;
  expect(await home.started()).toEqual(expect.arrayContaining(['SessionStart', 'UserPromptSubmit', 'mcp']));
  const asked = JSON.stringify(api.requests.splice(0));
  for (const plant of ['planted-memory', 'planted-rule', 'planted-header', 'planted-skill']) {
    expect(asked).toContain(plant);
  }
  await home.forgetStarted();

  const database = await createTestDatabase();
  const env = { ...login, WORKFLOW_POSTGRES_URL: database.url };
  const { exitCode } = await run(startProgram(INDEX, ['research'], { env }));

  expect(exitCode).toBe(0);
  expect(api.requests).toHaveLength(4);
  expect(JSON.stringify(api.requests)).not.toContain('planted');
  expect(api.requests.every(({ body }) => body.tools?.length === 0 && body.model.includes('sonnet'))).toBe(true);
  expect(await home.started()).toEqual([]);
});

test('a login that the user has made with Claude Code is used; a command that prints a key is none', async () => {
  const home = await createHome();
  const api = await startMessagesApi(() => ({ text: 'An answer.' }));
  const database = await createTestDatabase();
  const env = { ...loggedInTo(api, ''), ...home.variables, WORKFLOW_POSTGRES_URL: database.url };
  const without = await run(startProgram(INDEX, ['worker'], { env }));
  expect(without.exitCode).toBe(1);
  expect(without.stderr).toContain('Nobody is logged in to Claude.');
  expect(await home.started()).toEqual([]);

  await home.logIn('sk-ant-oat01-of-the-user');
  const { exitCode } = await run(startProgram(INDEX, ['research'], { env }));

  expect(exitCode).toBe(0);
  const logins = new Set(api.requests.map(({ headers }) => headers.authorization));
  expect([...logins]).toEqual(['Bearer sk-ant-oat01-of-the-user']);
});

test('a variable that a step gives its call is added to the safe ones, and does not replace them', async () => {
  const secret = join(await createDirectory(), 'secret.txt');
  await writeFile(secret, 'planted contents');
  const api = await startMessagesApi(() => ({ text: 'An answer.' }));
  const app = await createApplication((url) => ({
    ...loggedInTo(api),
    WORKFLOW_POSTGRES_URL: url,
    TEST_WORKFLOWS: 'model-workflows.ts',
  }));
  await app.startWorker();
  const [runId = ''] = await app.start('ownVariableWorkflow', ['x-own: given', `See @${secret}`]);

  expect(await app.ended(runId)).toEqual({ status: 'completed' });
  expect(api.requests.map(({ headers }) => [headers['x-own'], headers['x-api-key']])).toEqual([
    ['given', 'a-key-of-the-user'],
  ]);
  expect(JSON.stringify(api.requests)).not.toContain('planted contents');
});

const OTHERS = { GITHUB_TOKEN: 'x', WORKFLOW_POSTGRES_URL: 'x', DATABASE_URL: 'x', ANTHROPIC_ADMIN_KEY: 'x' };
const KEYS = { ANTHROPIC_API_KEY: 'x', ANTHROPIC_AUTH_TOKEN: 'x' };
const AWS = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x', AWS_BEARER_TOKEN_BEDROCK: 'x', AWS_REGION: 'x' };
const GOOGLE = { GOOGLE_APPLICATION_CREDENTIALS: 'x', ANTHROPIC_VERTEX_PROJECT_ID: 'x', CLOUD_ML_REGION: 'x' };
const ALL = { ...OTHERS, ...KEYS, ...AWS, ...GOOGLE, CLAUDE_CODE_OAUTH_TOKEN: 'x' };

test.each([
  { login: 'keys', variables: ALL, given: Object.keys(KEYS) },
  { login: 'Bedrock', variables: { ...ALL, CLAUDE_CODE_USE_BEDROCK: '1' }, given: Object.keys(AWS) },
  { login: 'Vertex', variables: { ...ALL, CLAUDE_CODE_USE_VERTEX: 'true' }, given: Object.keys(GOOGLE) },
  { login: 'a token', variables: { ...OTHERS, CLAUDE_CODE_OAUTH_TOKEN: 'x' }, given: ['CLAUDE_CODE_OAUTH_TOKEN'] },
  { login: 'switched off', variables: { ...ALL, CLAUDE_CODE_USE_BEDROCK: '0' }, given: Object.keys(KEYS) },
])('with $login, the process gets the variables of this login only', ({ variables, given }) => {
  const environment = cliEnvironment(variables);

  expect(Object.keys(variables).filter((name) => environment[name] === 'x')).toEqual(given);
  // What is not there as undefined is passed on by the provider.
  expect(Object.keys(environment)).toEqual(expect.arrayContaining(Object.keys(variables)));
});

test.each([
  { set: KEYS, sent: { 'x-api-key': 'x', authorization: 'Bearer x' } },
  { set: { ANTHROPIC_API_KEY: 'x', CLAUDE_CODE_OAUTH_TOKEN: 'token' }, sent: { 'x-api-key': 'x' } },
  { set: { ANTHROPIC_AUTH_TOKEN: 'x', CLAUDE_CODE_OAUTH_TOKEN: 'token' }, sent: { authorization: 'Bearer x' } },
])('of several secrets, those that the CLI sends are the ones that it is given: $set', async ({ set, sent }) => {
  const api = await startMessagesApi(() => ({ text: 'An answer.' }));
  const HOME = await createDirectory();
  // All of them, as a user who calls the CLI by hand has it.
  const env = { ...cliEnvironment({ PATH: process.env.PATH, HOME, ANTHROPIC_BASE_URL: api.url }), ...set };
  const cli = promisify(execFile)(cliPath(), ['-p', 'Hi'], { env, cwd: HOME });
  cli.child.stdin?.end();
  await cli;

  const { 'x-api-key': key, authorization } = api.requests[0]!.headers;
  expect({ 'x-api-key': key, authorization }).toEqual({ 'x-api-key': undefined, authorization: undefined, ...sent });
  const given = cliEnvironment(set);
  expect(given.CLAUDE_CODE_OAUTH_TOKEN).toBeUndefined();
  expect(Object.keys(KEYS).filter((name) => given[name])).toHaveLength(Object.keys(sent).length);
});

/** The home of somebody who has set up everything that Claude Code offers, and each leaves a trace. */
async function createHome() {
  const directory = await createDirectory();
  const config = join(directory, '.claude');
  const traces = join(directory, 'traces');
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(config, path)), { recursive: true });
    await writeFile(join(config, path), text);
  };
  await mkdir(traces);
  const leave = (trace: string) => `touch ${join(traces, trace)}`;
  const hook = (event: string) => [event, [{ hooks: [{ type: 'command', command: leave(event) }] }]] as const;
  const settings = {
    env: { ANTHROPIC_CUSTOM_HEADERS: 'x-planted: planted-header' },
    apiKeyHelper: `${leave('apiKeyHelper')}; echo planted-key`,
    permissions: { allow: ['Bash(*)'] },
    hooks: Object.fromEntries(['SessionStart', 'UserPromptSubmit', 'Stop', 'SessionEnd'].map(hook)),
  };
  const frontMatter = (name: string) => `---\nname: planted\ndescription: planted-${name}\n---\nplanted-${name}`;
  await write('settings.json', JSON.stringify(settings));
  await write('CLAUDE.md', 'planted-memory');
  await write('rules/planted.md', 'planted-rule');
  await write('agents/planted.md', frontMatter('agent'));
  await write('skills/planted/SKILL.md', frontMatter('skill'));
  await write('commands/planted.md', frontMatter('command'));
  const server = { command: 'sh', args: ['-c', leave('mcp')] };
  await write('.claude.json', JSON.stringify({ mcpServers: { planted: server } }));
  return {
    directory,
    variables: { HOME: directory, CLAUDE_CONFIG_DIR: config },
    started: () => readdir(traces),
    forgetStarted: async () => {
      for (const trace of await readdir(traces)) await rm(join(traces, trace));
    },
    logIn: (accessToken: string) => {
      const claudeAiOauth = { accessToken, refreshToken: 'x', expiresAt: Date.now() + 1e9, scopes: ['user:inference'] };
      return write('.credentials.json', JSON.stringify({ claudeAiOauth }));
    },
  };
}

async function createDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postgres-world-home-'));
  // The CLI may still be writing.
  onTestFinished(() => rm(directory, { recursive: true, maxRetries: 5 }));
  return directory;
}
