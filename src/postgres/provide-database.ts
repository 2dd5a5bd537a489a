import type { WorldConfig } from '../config/config.ts';
import { assertSetUp } from './assert-set-up.ts';
import { joinEmbeddedServer } from './embedded/server.ts';
import { setUpDatabase } from './setup.ts';

/**
 * A database that is set up: the user's, in which nothing is created here, or the embedded one.
 * @param opened takes what is to be closed at the end
 * @throws ConfigError where the user's database lacks the schema
 */
export async function provideDatabase(config: WorldConfig, opened: AsyncDisposableStack): Promise<string> {
  if (config.connectionString) {
    await assertSetUp(config.connectionString, config.queueSchema);
    return config.connectionString;
  }
  const server = opened.use(await joinEmbeddedServer(config.projectRoot));
  const reason = server.outside ? ' (outside of the project, which the user that it runs as cannot reach)' : '';
  config.log(`PostgreSQL: the embedded server, data in ${server.directory}${reason}`);
  await setUpDatabase(server.connectionString, config.queueSchema);
  return server.connectionString;
}
