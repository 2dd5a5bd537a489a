/**
 * Counts the SQL statements of this process that serve a run, and dies before one of them. To be
 * imported before anything that connects.
 */
import { writeSync } from 'node:fs';
import { Client, type QueryResult } from 'pg';

type Callback = (error: Error | undefined, result?: QueryResult) => void;
type Query = (this: Client, ...args: unknown[]) => unknown;

/** What a worker without any run sends too. All else counts, so that nothing new is overlooked. */
const BACKGROUND = [
  /^SELECT( 1)?$/,
  /^(UN)?LISTEN /,
  /^SET /,
  /workflow_engine\.(workers|sweeps)/,
  /advisory_(xact_)?(un)?lock/,
  /pg_locks/,
  // The sweep looks for runs; what it does to wake one counts.
  /^WITH candidate /,
  // pg-boss: refreshing leases, looking for lapsed ones, housekeeping
  /SET heartbeat_on =/,
  /\.(queue|version)\b/,
  // The stock queue frees what has been locked for hours.
  /locked_at < /,
  // of the steps of the test
  /(INSERT INTO|FROM) executions/,
];

/** Sending a job reads the options of its queue. */
const SEND = /^WITH ins AS \( INSERT INTO \S+\.job/;

const FETCH = /^(?!.*(locked_at <|workflow_engine\.sweeps)).*FOR UPDATE (OF j )?SKIP LOCKED/i;

const send = Client.prototype.query as Query;
/** Transactions of which only the BEGIN was sent, and those that are not counted. */
const begun = new WeakMap<Client, string>();
const uncounted = new WeakSet<Client>();
let statements: string[] = [];
let dieBefore: number | undefined;

/** Begins to count. @param k the number, from 1, of the statement that is not to be sent any more; 0: none */
export function arm(k: number): void {
  statements = [];
  dieBefore = k;
}

/** What was counted since then. Ends the counting: nobody is to die of being asked for a result. */
export function countedStatements(): string[] {
  dieBefore = undefined;
  return statements;
}

Client.prototype.query = function (this: Client, ...args: unknown[]) {
  const text = textOf(args[0]);
  if (dieBefore === undefined || text === undefined) return send.apply(this, args);
  if (FETCH.test(text)) {
    const answer = typeof args.at(-1) === 'function' ? (args.pop() as Callback) : undefined;
    const fetched = fetch(this, text, args);
    return answer ? void fetched.then((result) => answer(undefined, result), answer) : fetched;
  }
  count(this, text);
  return send.apply(this, args);
} as typeof Client.prototype.query;

function count(client: Client, text: string): void {
  if (/^BEGIN\b/i.test(text) && !/COMMIT;?$/i.test(text)) {
    // Whether it counts, the next statement tells. Until then it has done nothing.
    begun.set(client, text);
    return;
  }
  const begin = begun.get(client);
  begun.delete(client);
  const isBackground = !SEND.test(text) && BACKGROUND.some((pattern) => pattern.test(text));
  if (begin && isBackground) uncounted.add(client);
  if (begin && !isBackground) serve(begin);
  if (!isBackground && !uncounted.has(client)) serve(text);
  if (/^(COMMIT|ROLLBACK)$/i.test(text)) uncounted.delete(client);
}

/** A fetch counts if it found a job, which is known afterwards: in a transaction, it was not sent until then. */
async function fetch(client: Client, text: string, args: unknown[]): Promise<QueryResult> {
  await send.call(client, 'BEGIN');
  try {
    const fetched = (await send.apply(client, args)) as QueryResult;
    if (fetched.rows.length > 0) serve(text);
    await send.call(client, 'COMMIT');
    return fetched;
  } catch (error) {
    await send.call(client, 'ROLLBACK');
    throw error;
  }
}

function serve(text: string): void {
  statements.push(text);
  if (statements.length !== dieBefore) return;
  writeSync(1, `${JSON.stringify({ diedBefore: text })}\n`);
  process.kill(process.pid, 'SIGKILL');
}

function textOf(statement: unknown): string | undefined {
  const text = typeof statement === 'string' ? statement : (statement as { text?: string }).text;
  return text?.trim().replaceAll(/\s+/g, ' ');
}
