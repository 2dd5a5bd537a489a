/**
 * `npm run dev`: a worker that is replaced when the code changes, without losing a run. A run
 * belongs to the workflow code that began it ("Deployments" in docs/ARCHITECTURE.md), so this is a
 * rolling deploy in small: the new worker starts first, and then the old one
 * - hands its work over and ends, if the workflows are the same: only bodies of steps changed;
 * - goes on with the runs that it began until none is left, if the workflows changed.
 *
 * | what happens                            | then                                                             |
 * | --------------------------------------- | ---------------------------------------------------------------- |
 * | a change while a new worker starts      | that one is stopped, another one is started                      |
 * | two changes within 200 ms               | count as one                                                     |
 * | the new code does not start             | its error is shown, the worker before goes on                    |
 * | a change is undone                      | the worker with that code is the newest again, and has its runs  |
 * | the newest worker dies                  | another one is started after a second, with the files as they are |
 * | an older one dies                       | its runs wait in the database until the changes are undone: a    |
 * |                                         | bundle in .workflow has the workflows, not what its steps import |
 * | a run of old code waits for days        | so long its worker stays; after Ctrl+C the run waits in the      |
 * |                                         | database for that code, and a line says so                       |
 * | Ctrl+C, SIGTERM                         | every worker hands its work back and ends; once more: at once    |
 * | the supervisor is killed                | its workers see the channel close, and end in order              |
 */
import { chooseModel } from '../cli/choose-model.ts';
import { explain } from '../cli/errors.ts';
import { announceSimulation, announceWorldName } from '../cli/notices.ts';
import { onStopSignals } from '../cli/signals.ts';
import { readConfig } from '../config/config.ts';
import { createFleet, type Fleet } from './fleet.ts';
import { watchSources } from './watch-sources.ts';

const note = (line: string) => console.error(line);

try {
  await supervise();
} catch (error) {
  note(explain(error));
  process.exitCode = 1;
}

async function supervise(): Promise<void> {
  const config = readConfig();
  announceWorldName(config);
  const model = await chooseModel(config.model, { fallBack: true });
  if (model === 'simulated') announceSimulation({ config }, config.model === 'simulated');

  const fleet = createFleet({ ...process.env, WORKFLOW_MODEL: model }, note);
  using _watching = watchSources(config.projectRoot, (files) => {
    note(`Changed: ${files.join(', ')}. Starting a worker with the new code …`);
    fleet.replace();
  });
  const stopped = untilStopped(fleet);
  fleet.replace();
  process.exitCode = await stopped;
}

/** Resolves with the exit code when a signal has stopped all workers. */
function untilStopped(fleet: Fleet): Promise<number> {
  return new Promise((resolve) => {
    const stop = (exitCode: number) => void fleet.stop().then(() => resolve(exitCode));
    onStopSignals({
      first(exitCode) {
        note('\nStopping: handing the work back … (once more to stop at once)');
        stop(exitCode);
      },
      again: stop,
    });
  });
}
