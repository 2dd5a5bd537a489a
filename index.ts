/**
 * Runs the example workflows, or a worker for them, or looks at the runs. `index.ts --help` lists
 * modes and options.
 */
import { answer } from './src/cli/answers.ts';
import { OPTION_NAMES, parseCommand, startKeyOf, USAGE, type Command } from './src/cli/arguments.ts';
import { chooseModel } from './src/cli/choose-model.ts';
import { exitCodeOf, explain } from './src/cli/errors.ts';
import { announceSimulation, announceUnfinishedRuns, announceWorker, announceWorldName } from './src/cli/notices.ts';
import { refuseOptionsOfNpm } from './src/cli/npm-options.ts';
import { createOutput, describeRuns } from './src/cli/output.ts';
import { readInput } from './src/cli/read-input.ts';
import { SAMPLE_CONTENT, SAMPLE_TOPIC } from './src/cli/samples.ts';
import { listenForShutdown, rejectOnAbort } from './src/cli/shutdown.ts';
import { getWorldConfig, runWorld, startOnce, stopWorld, type RunningWorld } from './world-config.ts';

const output = createOutput(process.argv.includes('--json'));
const stopping = listenForShutdown(output.note);
const interrupted = rejectOnAbort(stopping);
/** The runs of this call that have not ended, and do not wait for somebody. */
const following = new Set<string>();

try {
  refuseOptionsOfNpm('index.ts', OPTION_NAMES);
  process.exitCode = await Promise.race([main(parseCommand(process.argv.slice(2))), interrupted]);
} catch (error) {
  output.note(explain(error));
  process.exitCode = exitCodeOf(error);
} finally {
  await stopWorld();
  for (const runId of following) output.note(`Not finished: ${runId}. The same command goes on with it, or a worker.`);
}

async function main(command: Command): Promise<number> {
  if (command.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const content = command.input === undefined ? SAMPLE_CONTENT : await readInput(command.input);
  const config = getWorldConfig({ verbose: command.verbose, log: output.note });
  const answered = await answer(command, config, output, stopping);
  if (answered !== undefined) return answered;

  announceWorldName(config);
  const isWorker = command.mode === 'worker';
  const model = await chooseModel(config.model, { fallBack: !isWorker });
  const world = await runWorld({ ...config, model, waitsForDatabase: isWorker });
  stopping.throwIfAborted();
  if (model === 'simulated') announceSimulation(world, config.model === 'simulated');
  if (isWorker) {
    announceWorker(world);
    return interrupted;
  }
  const announceFinishedRuns = await announceUnfinishedRuns(world);
  const exitCode = await runExamples(world, examplesOf(command, content));
  await announceFinishedRuns();
  return exitCode;
}

interface Example {
  workflow: string;
  args: unknown[];
  key: string | undefined;
  streams: boolean;
}

function examplesOf(command: Command, content: string): Example[] {
  const { mode, topic = SAMPLE_TOPIC } = command;
  const [analysisKey, researchKey] = [startKeyOf(command, 'content'), startKeyOf(command, 'research')];
  // Without --approve as ever, so that a key of before finds its run.
  const args = command.approve ? [content, { approve: true }] : [content];
  const analysis = { workflow: 'contentAnalysisWorkflow', args, key: analysisKey, streams: true };
  const research = { workflow: 'multiAgentResearchWorkflow', args: [topic], key: researchKey, streams: false };
  if (mode === 'both') return [analysis, research];
  return mode === 'research' ? [research] : [analysis];
}

/** Starts the examples at the same time, shows them as they go, and waits for them only; not for somebody's approval. */
async function runExamples({ workflows }: RunningWorld, examples: Example[]): Promise<number> {
  // Imported late: the runtime looks for the World when it is loaded.
  const { followRun } = await import('./src/cli/follow-run.ts');

  const runs = await Promise.all(
    examples.map(async ({ workflow, args, key, streams }) => {
      const { runId, isNew } = await begin(workflows[workflow]!, args, key);
      output.note(`${isNew ? 'Started' : 'Found'} ${workflow}: run ${runId}`);
      following.add(runId);
      const run = await followRun({ runId, workflow, streams }, output);
      following.delete(runId);
      return run;
    }),
  );
  output.result({ text: describeRuns(runs), document: { runs } });
  return runs.every(({ status, waitsFor }) => status === 'completed' || waitsFor) ? 0 : 1;
}

async function begin(workflow: { workflowId: string }, args: unknown[], key: string | undefined) {
  if (key !== undefined) return startOnce(workflow, args, { key });
  const { start } = await import('workflow/api');
  return { runId: (await start(workflow, args)).runId, isNew: true };
}
