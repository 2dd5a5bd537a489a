import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError, maskSecrets, type WorldConfig } from '../config/config.ts';
import { assertSetUp } from './assert-set-up.ts';
import { createAwaitServer } from './await-server.ts';
import { joinEmbeddedServer } from './embedded/server.ts';
import { explainConnection } from './explain-connection.ts';
import { isPooled } from './pooler.ts';
import { assertPooledSettings } from './session-settings.ts';
import { setUpDatabase } from './setup.ts';
import { settleSslMode } from './ssl-mode.ts';
import { withClient } from './with-client.ts';

const NOTIFICATION_PATIENCE_MS = 2_000;

/** A database that is set up, and how it is reached. */
export interface Database {
  connectionString: string;
  /** Whether through a pooler, where nothing of a session holds from one transaction to the next. */
  pooled: boolean;
  /** Where LISTEN works; undefined: nowhere. */
  listenString: string | undefined;
}

/**
 * The user's database, in which nothing is created here, or the embedded one.
 * @param opened takes what is to be closed at the end
 * @throws ConfigError where the user's database lacks the schema, or its server is too old
 */
export async function provideDatabase(
  config: WorldConfig,
  opened: AsyncDisposableStack,
  awaitServer = createAwaitServer(config),
): Promise<Database> {
  const { connectionString: url } = config;
  if (url) return awaitServer(() => inspectDatabase(url, config));
  const server = opened.use(await awaitServer(() => joinEmbeddedServer(config.projectRoot)));
  config.log(`PostgreSQL: embedded, data in ${server.directory}`);
  if (server.other) config.log(`  Older data of this project, with runs of its own, is in ${server.other}`);
  const { connectionString } = server;
  await awaitServer(() => setUpDatabase(connectionString, config.queueSchema, { log: config.log }));
  return { connectionString, pooled: false, listenString: connectionString };
}

async function inspectDatabase(url: string, config: WorldConfig): Promise<Database> {
  const connectionString = await settleSslMode(url);
  const pooled = await withClient(connectionString, 'check', async (client) => {
    await assertSetUp(client, config.queueSchema);
    const isBehindPooler = await isPooled(client);
    if (isBehindPooler) await assertPooledSettings(client);
    return isBehindPooler;
  });
  if (config.directConnectionString) {
    return {
      connectionString,
      pooled,
      listenString: await inspectDirectUrl(config.directConnectionString, connectionString, config),
    };
  }
  if (pooled) {
    config.log(
      'PostgreSQL: through a connection pooler, which passes no notifications on: polling.\n' +
        '  To be notified, set WORKFLOW_POSTGRES_DIRECT_URL to a URL past the pooler.',
    );
  }
  return { connectionString, pooled, listenString: pooled ? undefined : connectionString };
}

/** Now, since a listener that never gets through would only show as slowness. */
async function inspectDirectUrl(url: string, mainUrl: string, { log }: WorldConfig): Promise<string | undefined> {
  try {
    const listenString = await settleSslMode(url);
    if (await hears(listenString, mainUrl)) return listenString;
  } catch (cause) {
    const explained = explainConnection(cause, 'WORKFLOW_POSTGRES_DIRECT_URL');
    throw explained === undefined ? cause : new ConfigError(maskSecrets(explained), { cause });
  }
  log('PostgreSQL: WORKFLOW_POSTGRES_DIRECT_URL brings no notifications: polling.');
  log('  It leads to another database, or through a pooler too.');
  return undefined;
}

/** By trying: a proxy may pass notifications on, and a URL may lead to another database. */
async function hears(listenUrl: string, notifyUrl: string): Promise<boolean> {
  const channel = `probe_${randomUUID()}`;
  return withClient(listenUrl, 'check', async (listener) => {
    const heard = once(listener, 'notification').then(() => true);
    heard.catch(() => undefined);
    await listener.query(`LISTEN "${channel}"`);
    await withClient(notifyUrl, 'check', (client) => client.query('SELECT pg_notify($1, $2)', [channel, '']));
    return Promise.race([heard, delay(NOTIFICATION_PATIENCE_MS, false, { ref: false })]);
  });
}
