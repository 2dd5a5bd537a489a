import { HookNotFoundError, WorkflowRunNotFoundError, WorkflowWorldError } from '@workflow/errors';
import type { Hook, PaginatedResponse, Storage } from '@workflow/world';
import type { OwnRuns } from './own-runs.ts';

/** As world-postgres's. */
const RUNS_PER_PAGE = 20;
const HOOKS_PER_PAGE = 100;

const NOTHING = { data: [], cursor: null, hasMore: false };

/**
 * A storage in which there are the runs of one job prefix, and what belongs to them. What is another
 * application's is not found, as what is not there.
 */
export function wallStorage(storage: Storage, runs: OwnRuns): Storage {
  return {
    runs: wallRuns(storage, runs),
    steps: wallSteps(storage, runs),
    hooks: wallHooks(storage, runs),
    events: wallEvents(storage, runs),
  };
}

function wallRuns(storage: Storage, { ownerOf, select, jobPrefix }: OwnRuns): Storage['runs'] {
  const get = async (...[id, params]: Parameters<Storage['runs']['get']>) => {
    if ((await ownerOf(id)) !== 'us') throw new WorkflowRunNotFoundError(id);
    return storage.runs.get(id, params);
  };
  const list = async (params: Parameters<Storage['runs']['list']>[0] = {}) => {
    const limit = params.pagination?.limit ?? RUNS_PER_PAGE;
    const found = await select<{ id: string }>(
      `SELECT r.id FROM workflow.workflow_runs r JOIN workflow_engine.run_progress p ON p.run_id = r.id
       WHERE p.job_prefix = $1 AND ($2::text IS NULL OR r.id < $2) AND ($3::text IS NULL OR r.name = $3)
         AND ($4::text IS NULL OR r.status::text = $4)
       ORDER BY r.id DESC LIMIT $5`,
      // An empty text is none, as to world-postgres: the official tools begin with such a cursor.
      [jobPrefix, params.pagination?.cursor || null, params.workflowName || null, params.status || null, limit + 1],
    );
    return page(found, limit, (id) => get(id, params).catch(undefinedIfRemoved));
  };
  return { get, list } as Storage['runs'];
}

function wallSteps(storage: Storage, { ownerOf }: OwnRuns): Storage['steps'] {
  const get = async (...[runId, stepId, params]: Parameters<Storage['steps']['get']>) => {
    const notFound = new WorkflowWorldError(`Step not found: ${stepId}`);
    if (runId !== undefined && (await ownerOf(runId)) !== 'us') throw notFound;
    const step = await storage.steps.get(runId, stepId, params);
    if (runId === undefined && (await ownerOf(step.runId)) !== 'us') throw notFound;
    return step;
  };
  const list = async (params: Parameters<Storage['steps']['list']>[0]) =>
    (await ownerOf(params.runId)) === 'us' ? storage.steps.list(params) : NOTHING;
  return { get, list } as Storage['steps'];
}

function wallHooks(storage: Storage, { ownerOf, select, jobPrefix }: OwnRuns): Storage['hooks'] {
  const own = `FROM workflow.workflow_hooks h JOIN workflow_engine.run_progress p ON p.run_id = h.run_id AND p.job_prefix = $1`;
  const get = async (...[hookId, params]: Parameters<Storage['hooks']['get']>): Promise<Hook> => {
    const [found] = await select(`SELECT ${own} WHERE h.hook_id = $2`, [jobPrefix, hookId]);
    if (!found) throw new HookNotFoundError(hookId);
    return storage.hooks.get(hookId, params);
  };
  return {
    get,
    async getByToken(token, params) {
      // Two applications may wait on the same one.
      const [hook] = await select<{ id: string }>(
        `SELECT h.hook_id AS id ${own} WHERE h.token = $2 ORDER BY h.created_at LIMIT 1`,
        [jobPrefix, token],
      );
      if (!hook) throw new HookNotFoundError(token);
      return storage.hooks.get(hook.id, params).catch((error: unknown) => {
        // Disposed of in this moment: world-postgres reads a row that is not there.
        throw error instanceof TypeError ? new HookNotFoundError(token) : error;
      });
    },
    async list(params) {
      if (params.runId) return (await ownerOf(params.runId)) === 'us' ? storage.hooks.list(params) : NOTHING;
      const { limit = HOOKS_PER_PAGE, cursor, sortOrder = 'asc' } = params.pagination ?? {};
      const [direction, isBehind] = sortOrder === 'asc' ? ['ASC', '>'] : ['DESC', '<'];
      const found = await select<{ id: string }>(
        `SELECT h.hook_id AS id ${own} WHERE $2::text IS NULL OR h.hook_id ${isBehind} $2 ORDER BY h.hook_id ${direction} LIMIT $3`,
        [jobPrefix, cursor || null, limit + 1],
      );
      return page(found, limit, (id) => get(id, params).catch(undefinedIfRemoved));
    },
  };
}

function wallEvents(storage: Storage, { ownerOf }: OwnRuns): Storage['events'] {
  const { events } = storage;
  const create = async (...[runId, event, params]: Parameters<Storage['events']['create']>) => {
    // Of a run that is not there, its creation knows more. The id of a new one is refused if it is taken.
    const isNew = (event.eventType as string) === 'run_created';
    if (runId && !isNew && (await ownerOf(runId)) === 'others') throw new WorkflowRunNotFoundError(runId);
    return events.create(runId, event, params);
  };
  return {
    create: create as Storage['events']['create'],
    async get(runId, eventId, params) {
      if ((await ownerOf(runId)) === 'us') return events.get(runId, eventId, params);
      throw new WorkflowWorldError(`Event not found: ${eventId}`);
    },
    list: async (params) => ((await ownerOf(params.runId)) === 'us' ? events.list(params) : NOTHING),
    async listByCorrelationId(params) {
      const found = await events.listByCorrelationId(params);
      const owners = new Map<string, string>();
      for (const { runId } of found.data) if (!owners.has(runId)) owners.set(runId, await ownerOf(runId));
      return { ...found, data: found.data.filter(({ runId }) => owners.get(runId) === 'us') };
    },
  };
}

/** @param found one more than `limit`, if there is more; what was removed meanwhile is left out */
async function page<T>(
  found: readonly { id: string }[],
  limit: number,
  get: (id: string) => Promise<T | undefined>,
): Promise<PaginatedResponse<T>> {
  const ids = found.slice(0, limit).map(({ id }) => id);
  const rows = await Promise.all(ids.map(get));
  return {
    data: rows.filter((row) => row !== undefined),
    cursor: ids.at(-1) ?? null,
    hasMore: found.length > limit,
  };
}

function undefinedIfRemoved(error: unknown): undefined {
  if (WorkflowRunNotFoundError.is(error) || HookNotFoundError.is(error) || error instanceof TypeError) return undefined;
  throw error;
}
