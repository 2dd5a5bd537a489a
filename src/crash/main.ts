/**
 * `npm run example:postgres-world:crash`: the research workflow loses its worker in the middle of the
 * model calls. `-- --help` lists the options.
 *
 * It has a job prefix of its own, so its workers see no run but this one, and nobody else's worker
 * sees this run. The second worker starts when the first one has the run, and is ready before the
 * kill. The simulated API runs here, since one in the killed worker could bear no witness; until the
 * kill, it gives its first answer only, and the beginnings of the others: so one step is completed,
 * and two are not.
 */
import { chooseModel } from '../cli/choose-model.ts';
import { exitCodeOf, explain } from '../cli/errors.ts';
import { announceWorldName } from '../cli/notices.ts';
import { createOutput } from '../cli/output.ts';
import { listenForShutdown, rejectOnAbort } from '../cli/shutdown.ts';
import { UsageError } from '../cli/usage-error.ts';
import { getWorldConfig, runWorld, stopWorld, type RunningWorld, type WorldConfig } from '../../world-config.ts';
import { atWalkingPace, startSimulatedApi, type SimulatedCall } from '../model/simulated-api.ts';
import { CRASH_USAGE, parseCrashCommand, type CrashCommand } from './arguments.ts';
import { describeCrash } from './describe.ts';
import { killWorker, untilInTheMiddle, WORDS_SENT } from './kill-point.ts';
import { cancelRun, clearLeftovers, forgetWorker } from './leftovers.ts';
import { reportCrash } from './report.ts';
import { startWorkerProcess, type WorkerProcess } from './start-worker.ts';

const WORKFLOW = 'multiAgentResearchWorkflow';

const output = createOutput(process.argv.includes('--json'));
const stopping = listenForShutdown(output.note);
const interrupted = rejectOnAbort(stopping);
/** What was started, and is to end with this process. */
const opened = new AsyncDisposableStack();

try {
  process.exitCode = await Promise.race([main(parseCrashCommand(process.argv.slice(2))), interrupted]);
} catch (error) {
  output.note(error instanceof UsageError ? `${error.message}\n\n${CRASH_USAGE}` : explain(error));
  process.exitCode = exitCodeOf(error);
} finally {
  await opened.disposeAsync();
}

async function main(command: CrashCommand): Promise<number> {
  if (command.help) {
    process.stdout.write(`${CRASH_USAGE}\n`);
    return 0;
  }
  const config = await configure(command);
  const killed = Promise.withResolvers<void>();
  const calls: SimulatedCall[] = [];
  const pace = (call: SimulatedCall) =>
    call === calls[0] || call.words <= WORDS_SENT ? atWalkingPace() : killed.promise.then(atWalkingPace);
  const api = opened.use(await startSimulatedApi({ onCall: (call) => calls.push(call), pace }));
  const witness = config.model === 'simulated' ? calls : undefined;
  opened.defer(stopWorld);
  const world = await runWorld(config);
  await clearLeftovers(world);

  const workers: WorkerProcess[] = [];
  opened.defer(async () => void (await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()))));
  const startWorker = () => {
    stopping.throwIfAborted();
    const worker = startWorkerProcess(workerOptions(config, witness && api.url));
    workers.push(worker);
    return worker;
  };
  const first = startWorker();
  await first.ready;
  const { runId, ended } = await startRun(world, command.topic);
  output.note(`Worker ${first.pid} takes it.`);

  const second = startWorker();
  await Promise.race([second.ready, first.died]);
  output.note(`Worker ${second.pid} stands by.`);
  await Promise.race([untilInTheMiddle(world.pool, runId, witness), first.died, second.died]);
  const death = await killWorker(world.pool, runId, first);
  killed.resolve();
  output.note(`✗ Worker ${first.pid} was killed.`);
  await forgetWorker(world.pool, first.pid);

  const run = await Promise.race([ended, second.died]);
  const report = await reportCrash(world, runId, death, witness);
  const outcome = { run, ...report, killedPid: first.pid, otherPid: second.pid, jobPrefix: config.jobPrefix };
  output.result({ text: describeCrash(outcome), document: outcome });
  return run.status === 'completed' ? 0 : 1;
}

/** Starts the workflow, and follows it. If it has not ended when everything stops, it is cancelled. */
async function startRun({ workflows }: RunningWorld, topic: string) {
  // Imported late: the runtime looks for the World when it is loaded.
  const { start } = await import('workflow/api');
  const { followRun } = await import('../cli/follow-run.ts');
  stopping.throwIfAborted();
  const { runId } = await start(workflows[WORKFLOW]!, [topic]);
  let unfinished = true;
  opened.defer(async () => {
    if (unfinished) await cancelRun(runId).catch(() => undefined);
  });
  output.note(`Started ${WORKFLOW}: run ${runId}`);
  const ended = followRun({ runId, workflow: WORKFLOW, streams: false }, output);
  ended.then(
    () => (unfinished = false),
    () => undefined,
  );
  return { runId, ended };
}

async function configure({ verbose }: CrashCommand): Promise<WorldConfig> {
  const config = getWorldConfig({ verbose, log: output.note, worker: false });
  announceWorldName(config);
  const model = config.model === 'claude' ? await chooseModel('claude', { fallBack: false }) : 'simulated';
  output.note(
    model === 'claude'
      ? '⚠ Claude is asked, as WORKFLOW_MODEL asks for: calls that are cut off may be billed, and are made again.\n'
      : '⚠ SIMULATED, since calls are cut off and made again: the answers are made up.\n' +
          '  For real ones, which cost: WORKFLOW_MODEL=claude\n',
  );
  return { ...config, model, jobPrefix: `${config.jobPrefix}crash_` };
}

function workerOptions({ jobPrefix, model, verbose }: WorldConfig, simulatedApiUrl: string | undefined) {
  const environment = { ...process.env, WORKFLOW_POSTGRES_JOB_PREFIX: jobPrefix, WORKFLOW_MODEL: model };
  return { environment, simulatedApiUrl, verbose };
}
