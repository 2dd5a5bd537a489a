/**
 * Creates or migrates what the World needs in the database of WORKFLOW_POSTGRES_URL, or in the
 * embedded one. Idempotent, and safe when two processes run it at once. `--check` and `--print`
 * change nothing.
 */
import { parseArgs } from 'node:util';
import { UsageError } from './src/cli/usage-error.ts';
import { exitCodeOf, explain } from './src/cli/errors.ts';
import { maskSecrets } from './src/config/config.ts';
import { createAwaitServer } from './src/postgres/await-server.ts';
import { joinEmbeddedServer } from './src/postgres/embedded/server.ts';
import { checkDatabase, describeRoles, printSql, setUpDatabase } from './src/postgres/setup.ts';
import { settleSslMode } from './src/postgres/ssl-mode.ts';
import { getWorldConfig } from './world-config.ts';

const USAGE = `Usage: setup-db.ts [OPTION]

  (nothing)   create or migrate what is missing, in one transaction
  --wait SECONDS  for others who hold its tables or its lock (default 60)
  --check     say what is missing; exit code 1 if something is
  --print     print the SQL that would be run, for psql or a migration tool
  --print-roles   print the SQL of a role that sets up, and of one for workers, with the least rights
  --help      this text`;

try {
  process.exitCode = await main();
} catch (error) {
  const help = '\n  See: npm run postgres-world:setup -- --help';
  console.error(error instanceof UsageError ? error.message + help : explain(error, urlVariable()));
  process.exitCode = exitCodeOf(error);
}

async function main(): Promise<number> {
  const { check, print, help, patienceMs, 'print-roles': printRoles } = parseOptions();
  if (help) {
    console.log(USAGE);
    return 0;
  }
  const config = getWorldConfig();
  const { connectionString, directConnectionString, projectRoot, queueSchema } = config;
  const awaitServer = createAwaitServer(config);
  await using server = connectionString ? undefined : await awaitServer(() => joinEmbeddedServer(projectRoot));
  const given = directConnectionString ?? connectionString!;
  const url = server?.connectionString ?? (await awaitServer(() => settleSslMode(given)));
  const database = `${maskSecrets(url)}${server ? ` (embedded, data in ${server.directory})` : ''}`;
  if (server?.other) console.error(`Older data of this project, with runs of its own, is in ${server.other}`);
  if (!print && !printRoles) console.log(`${check ? 'Checking' : 'Setting up'} ${database}`);
  const answer = printRoles
    ? printTheRoles
    : print
      ? printPlan
      : check
        ? showState
        : (...to: [string, string]) => setUp(...to, patienceMs);
  return await awaitServer(() => answer(url, queueSchema));
}

async function setUp(url: string, queueSchema: string, patienceMs: number): Promise<number> {
  const { tables, leftToDo } = await setUpDatabase(url, queueSchema, { patienceMs, log: console.error });
  console.log(`✓ ${tables.length} tables and views exist:`);
  for (const table of tables) console.log(`  ${table}`);
  if (leftToDo.length > 0) {
    console.log('SQL needs the schema name (workflow.workflow_runs), until the owner of the\ndatabase runs:');
    for (const statement of leftToDo) console.log(`  ${statement}`);
  }
  return 0;
}

async function showState(url: string, queueSchema: string): Promise<number> {
  const { parts, missingRights, searchPath } = await checkDatabase(url, queueSchema);
  for (const { name, found, sql } of parts) console.log(`${sql.length === 0 ? '✓' : '✗'} ${name}: ${found}`);
  if (searchPath.sql)
    console.log(`· table names need their schema (workflow.workflow_runs), until:\n    ${searchPath.sql};`);
  if (missingRights.length > 0) {
    console.log('✗ This role lacks rights. Somebody who may has to run:');
    for (const statement of missingRights) console.log(`    ${statement}`);
    return 1;
  }
  if (parts.every(({ sql }) => sql.length === 0)) return 0;
  console.log('To create what is missing: npm run postgres-world:setup (or see its SQL: … -- --print)');
  return 1;
}

async function printPlan(url: string, queueSchema: string): Promise<number> {
  const sql = printSql(await checkDatabase(url, queueSchema), queueSchema);
  console.log(sql ?? '-- Nothing is missing.');
  return 0;
}

async function printTheRoles(url: string, queueSchema: string): Promise<number> {
  console.log(await describeRoles(url, queueSchema));
  return 0;
}

/** Setup goes past a pooler, if it is told how. */
function urlVariable(): string {
  return process.env.WORKFLOW_POSTGRES_DIRECT_URL ? 'WORKFLOW_POSTGRES_DIRECT_URL' : 'WORKFLOW_POSTGRES_URL';
}

function parseOptions() {
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    wait: { type: 'string', default: '60' },
    check: flag,
    print: flag,
    'print-roles': flag,
    help: { ...flag, short: 'h' },
  } as const;
  const { wait, ...values } = readOptions(() => parseArgs({ options }).values);
  if ([values.check, values.print, values['print-roles']].filter(Boolean).length > 1) {
    throw new UsageError('Only one of --check, --print and --print-roles.');
  }
  if (!/^\d{1,6}$/.test(wait)) throw new UsageError(`--wait takes seconds, and "${wait}" is no number of them.`);
  return { ...values, patienceMs: Number(wait) * 1_000 };
}

function readOptions<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError((cause as Error).message.split('. ')[0], { cause });
  }
}
