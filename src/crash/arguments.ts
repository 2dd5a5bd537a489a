import { SAMPLE_TOPIC } from '../cli/samples.ts';
import { parseOptions } from '../cli/parse-options.ts';
import { UsageError } from '../cli/usage-error.ts';

export interface CrashCommand {
  topic: string;
  verbose: boolean;
  help: boolean;
}

export const CRASH_USAGE = `Usage: npm run example:postgres-world:crash [-- OPTIONS]

Starts the research workflow and two workers, kills the one that drives it
(SIGKILL) in the middle of its model calls, and shows what the other one makes
of it: which steps were reused, and which calls were made again.

Options
  --topic TEXT  research this topic instead of the sample
  --json        one JSON document on stdout, everything else on stderr
  --verbose     say what the queue and the provider do
  --help, -h    this text

Calls that are cut off may be billed, and are made again. So the model is
simulated, even for who is logged in; with WORKFLOW_MODEL=claude it is Claude.
The other variables: npm run example:postgres-world -- --help

Exit codes
  0 the run was killed and completed; 1 it was not, or the environment is not
  usable; 2 wrong usage; 130 Ctrl+C`;

/** @throws UsageError */
export function parseCrashCommand(args: readonly string[]): CrashCommand {
  const { topic = SAMPLE_TOPIC, verbose = false, help = false } = parse(args);
  if (topic.trim() === '') throw new UsageError('--topic is empty: there is nothing to research.');
  return { topic, verbose, help };
}

function parse(args: readonly string[]) {
  const options = {
    topic: { type: 'string' },
    json: { type: 'boolean' },
    verbose: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  return parseOptions({ args: [...args], options }).values;
}
