/**
 * Creates or migrates what the World needs in the database of WORKFLOW_POSTGRES_URL, or in the
 * embedded one. Idempotent, and safe when two processes run it at once.
 */
import { explain } from './src/cli/errors.ts';
import { maskSecrets } from './src/config/config.ts';
import { joinEmbeddedServer } from './src/postgres/embedded/server.ts';
import { setUpDatabase } from './src/postgres/setup.ts';
import { getWorldConfig } from './world-config.ts';

try {
  await setUp();
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}

async function setUp(): Promise<void> {
  const { connectionString, projectRoot, queueSchema } = getWorldConfig();
  await using server = connectionString ? undefined : await joinEmbeddedServer(projectRoot);
  const url = connectionString ?? server!.connectionString;
  console.log(`Setting up ${maskSecrets(url)}${server ? ` (embedded, data in ${server.directory})` : ''}`);

  const { tables, leftToDo } = await setUpDatabase(url, queueSchema);

  console.log(`✓ ${tables.length} tables and views exist:`);
  for (const table of tables) console.log(`  ${table}`);
  if (leftToDo.length === 0) return;
  console.log('This role may not do the following. Without it, SQL needs the schema name (workflow.workflow_runs):');
  for (const statement of leftToDo) console.log(`  ${statement}`);
}
