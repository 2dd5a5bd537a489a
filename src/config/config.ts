import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import dotenv from 'dotenv';
import { z } from 'zod';
import { MAX_VALUE_BYTES } from '../values/unstorable.ts';
import { postgresUrl } from './postgres-url.ts';

const unsetIfEmpty = (value: unknown) => (value === '' ? undefined : value);

/** pg-boss allows these characters in queue names, which begin with the prefix. */
const JOB_PREFIX = /^[\w.-]+$/;

/** The names of the queues of such a one would begin as those of another: `a_flows.b_flows.…` */
const LIKE_QUEUES = /(flows|steps)\./;

/** PostgreSQL folds and quotes other names; these work everywhere unquoted. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,49}$/;

const TAKEN_SCHEMA = /^(pg_.*|information_schema|public|pgboss|workflow|workflow_drizzle|workflow_engine)$/;

const PROJECT_ROOT = join(import.meta.dirname, '../..');

/** The specification's name means the same; our own processes name the World that they have built already. */
const WORLD_NAMES = new Set([
  './world-config.ts',
  '@workflow/world-postgres',
  join(PROJECT_ROOT, 'world-config.ts'),
  join(PROJECT_ROOT, 'src/runtime/current-world.ts'),
]);

const wholeNumber = z.coerce.number('is not a number').int('is not a whole number');
const concurrency = wholeNumber.min(1, 'must be at least 1');

/** Every variable that this project reads. `.env.example` lists the same ones; a test holds them together. */
export const environmentSchema = z
  .object({
    WORKFLOW_POSTGRES_URL: z.preprocess(unsetIfEmpty, postgresUrl.optional()),
    WORKFLOW_POSTGRES_DIRECT_URL: z.preprocess(unsetIfEmpty, postgresUrl.optional()),
    WORKFLOW_TARGET_WORLD: z.preprocess(
      unsetIfEmpty,
      z
        .string()
        .refine((name) => WORLD_NAMES.has(name), 'is not the World of this project: write ./world-config.ts')
        .default('./world-config.ts'),
    ),
    WORKFLOW_POSTGRES_JOB_PREFIX: z.preprocess(
      unsetIfEmpty,
      z
        .string()
        .regex(JOB_PREFIX, 'may contain letters, digits, "_", "-" and "." only')
        .refine((prefix) => !LIKE_QUEUES.test(prefix), 'must not contain "flows." or "steps."')
        .default('workflow_'),
    ),
    WORKFLOW_POSTGRES_WORKER_CONCURRENCY: z.preprocess(unsetIfEmpty, concurrency.default(10)),
    WORKFLOW_POSTGRES_MAX_POOL_SIZE: z.preprocess(unsetIfEmpty, concurrency.default(10)),
    WORKFLOW_POSTGRES_QUEUE_SCHEMA: z.preprocess(
      unsetIfEmpty,
      z
        .string()
        .regex(SCHEMA_NAME, 'must be a plain lower-case schema name')
        .refine(
          (name) => !TAKEN_SCHEMA.test(name),
          'must not be a schema of PostgreSQL, of world-postgres (which drops "pgboss"), or of this project',
        )
        .default('workflow_queue'),
    ),
    WORKFLOW_POSTGRES_MAX_VALUE_MB: z.preprocess(
      unsetIfEmpty,
      wholeNumber
        .min(1, 'must be at least 1')
        .max(MAX_VALUE_BYTES / 1e6, `must be at most ${MAX_VALUE_BYTES / 1e6}`)
        .default(32),
    ),
    WORKFLOW_MODEL: z.preprocess(
      unsetIfEmpty,
      z.enum(['auto', 'claude', 'simulated'], 'is not one of auto, claude, simulated').default('auto'),
    ),
    WORKFLOW_MODEL_SPAWNS: z.preprocess(unsetIfEmpty, concurrency.optional()),
    WORKFLOW_MODEL_SPARES: z.preprocess(unsetIfEmpty, wholeNumber.min(0, 'must be at least 0').default(2)),
    /** For the CLI, which inherits it. */
    ANTHROPIC_API_KEY: z.preprocess(unsetIfEmpty, z.string().optional()),
  })
  .refine((env) => !env.WORKFLOW_POSTGRES_DIRECT_URL || env.WORKFLOW_POSTGRES_URL, {
    path: ['WORKFLOW_POSTGRES_DIRECT_URL'],
    error: 'is past a pooler that is not there: WORKFLOW_POSTGRES_URL is not set',
  });

export interface WorldConfig {
  /** Undefined means the embedded server. */
  connectionString: string | undefined;
  /** Past a connection pooler, for LISTEN and for setup; undefined: `connectionString` does for both, or must. */
  directConnectionString: string | undefined;
  jobPrefix: string;
  /** Steps that this process executes at once. */
  queueConcurrency: number;
  maxPoolSize: number;
  queueSchema: string;
  /** Of an argument list, a result or an answer to a hook, as it is stored. Larger ones hold up the process for seconds. */
  maxValueBytes: number;
  /**
   * Who answers the runs that this process begins, and whose runs it works on: `simulated` never
   * touches a run that was begun for Claude. `auto` is decided by the command line; without it, it means Claude.
   */
  model: 'auto' | 'claude' | 'simulated';
  /** Model processes that this process starts at once; each takes most of a CPU for half a second. */
  modelSpawns: number;
  /** Model processes that a worker keeps ready for its next calls, at most; about 100 MB each. */
  modelSpares: number;
  /** A simulated Messages API that runs elsewhere on this machine; undefined: a worker starts its own. */
  simulatedApiUrl?: string | undefined;
  targetWorld: string;
  /** Say on stderr what the queue does. */
  verbose: boolean;
  /** Whether to take work. Without it, the process can start and follow runs only. */
  worker: boolean;
  /** Whether it may begin before its database: a worker under a supervisor, which waits a minute for one that is not there. */
  waitsForDatabase: boolean;
  /** The folder that workflow files are named relative to. */
  projectRoot: string;
  /** Absolute paths of the files with 'use workflow' and 'use step'. */
  workflowFiles: string[];
  /** Where lines for the operator go. */
  log(line: string): void;
}

/** Something about the environment or the options is wrong, and the user can put it right. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/**
 * The configuration of the environment and `.env`, parsed once.
 * @throws ConfigError naming every problem, not only the first
 */
export function readConfig(environment: NodeJS.ProcessEnv = readDotenv()): WorldConfig {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      return `  ${name}${showValue(name, environment[name])} ${message}`;
    });
    throw new ConfigError(`The environment is not usable:\n${problems.join('\n')}`);
  }
  const env = parsed.data;
  return {
    connectionString: env.WORKFLOW_POSTGRES_URL,
    directConnectionString: env.WORKFLOW_POSTGRES_DIRECT_URL,
    jobPrefix: env.WORKFLOW_POSTGRES_JOB_PREFIX,
    queueConcurrency: env.WORKFLOW_POSTGRES_WORKER_CONCURRENCY,
    maxPoolSize: env.WORKFLOW_POSTGRES_MAX_POOL_SIZE,
    queueSchema: env.WORKFLOW_POSTGRES_QUEUE_SCHEMA,
    maxValueBytes: env.WORKFLOW_POSTGRES_MAX_VALUE_MB * 1e6,
    model: env.WORKFLOW_MODEL,
    modelSpawns: env.WORKFLOW_MODEL_SPAWNS ?? availableParallelism(),
    modelSpares: env.WORKFLOW_MODEL_SPARES,
    targetWorld: env.WORKFLOW_TARGET_WORLD,
    verbose: false,
    worker: true,
    waitsForDatabase: false,
    projectRoot: PROJECT_ROOT,
    workflowFiles: [join(PROJECT_ROOT, 'workflow-example.ts')],
    log: (line) => console.error(line),
  };
}

/** What is no URL at all may be anything, a password among it. */
function showValue(name: string, value = ''): string {
  return name.endsWith('_URL') && !value.includes('://') ? '' : `=${maskSecrets(value)}`;
}

/** Ends where the password of a URL begins. */
const USER = /(?<=\w):\/\/[^\s:/@]*:/;

/** `postgres://user:secret@host/db` → `postgres://user:***@host/db`, and the parameter `password`; other text unchanged. */
export function maskSecrets(text: string): string {
  return text.replace(/\S+/g, maskPassword).replace(/([?&]password=)[^&\s]*/g, '$1***');
}

/** A password may hold any character, `@` among them: it ends before the last one of the word. */
function maskPassword(word: string): string {
  const end = word.lastIndexOf('@');
  const user = end < 0 ? undefined : USER.exec(word);
  if (!user || end < user.index + user[0].length) return word;
  return `${word.slice(0, user.index + user[0].length)}***${word.slice(end)}`;
}

function readDotenv(): NodeJS.ProcessEnv {
  dotenv.config({ quiet: true });
  return process.env;
}
