import { withWorker } from './world.ts';

/** What a database compares by, in which Y comes after I: not the order of the bytes, in which replays need their log. */
export const LITHUANIAN = `LOCALE_PROVIDER icu ICU_LOCALE 'lt-LT'`;

/** Runs that are parked between their steps, so that their logs are read from the database. Each returns 2 for a step. */
export async function runChains(url: string, { count, steps }: { count: number; steps: number }): Promise<unknown[]> {
  return withWorker({ connectionString: url, worker: true }, async ({ workflows }) => {
    const { start } = await import('workflow/api');
    const chain = async () => (await start(workflows.chainWorkflow!, [steps, 1_000])).returnValue;
    return Promise.all(Array.from({ length: count }, chain));
  });
}
