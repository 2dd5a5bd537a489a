import { fileURLToPath } from 'node:url';
import { ConfigError } from '../config/config.ts';
import type { ToolProcess } from './run-tool.ts';
import type { ToolCall } from './tool-call.ts';

export interface ToolSettings {
  connectionString: string;
  queueSchema: string;
  /** For a page. */
  port: number | undefined;
}

/** For a tool that is only to print its help. */
const NOTHING: ToolSettings = { connectionString: '', queueSchema: '', port: undefined };

/** The program of a tool, and the variables that it wants. */
export function describeTool({ tool, args }: ToolCall, settings: ToolSettings = NOTHING): ToolProcess {
  if (tool === 'dashboard') {
    const program = fromPackage(() => import.meta.resolve('@pg-boss/dashboard/package.json'), './bin/cli.js');
    const env = dashboardVariables(settings);
    const newerSchema = env.PGBOSS_DASHBOARD_READ_ONLY === '1' ? [import.meta.resolve('./newer-schema.ts')] : [];
    const preloads = [import.meta.resolve('./own-names.ts'), ...newerSchema];
    return { program, args, preloads, env };
  }
  const program = fromPackage(() => import.meta.resolve('workflow'), '../bin/run.js');
  return { program, args: [tool, ...args], preloads: [], env: workflowVariables(settings) };
}

function workflowVariables({ connectionString, port }: ToolSettings): Record<string, string> {
  return {
    WORKFLOW_TARGET_WORLD: './world-config.ts',
    WORKFLOW_POSTGRES_URL: connectionString,
    ...(port === undefined ? {} : { WORKFLOW_WEB_PORT: String(port) }),
    // The address is printed; whoever wants a browser has one.
    WORKFLOW_DISABLE_BROWSER_OPEN: '1',
    // Otherwise it asks the npm registry for a newer version, for up to 5 s where there is no network.
    WORKFLOW_NO_UPDATE_CHECK: '1',
  };
}

function dashboardVariables({ connectionString, queueSchema, port }: ToolSettings) {
  return {
    // A bar separates databases there.
    DATABASE_URL: connectionString.replaceAll('|', '%7C'),
    PGBOSS_SCHEMA: queueSchema,
    // By default it listens on every interface.
    HOST: '127.0.0.1',
    PORT: String(port),
    // A job is the lease of a run or a step: one that is cancelled or deleted by hand stalls it.
    PGBOSS_DASHBOARD_READ_ONLY: process.env.PGBOSS_DASHBOARD_READ_ONLY ?? '1',
  };
}

/** Not through the PATH: the version that is installed here, from wherever this was started. */
function fromPackage(resolveModule: () => string, path: string): string {
  try {
    return fileURLToPath(new URL(path, resolveModule()));
  } catch (cause) {
    throw new ConfigError(`${(cause as Error).message}\n  Run: npm ci (without --omit=dev)`, { cause });
  }
}
