import { wrapLanguageModel } from 'ai';
import {
  createClaudeCode,
  type ClaudeCodeProvider,
  type ClaudeCodeSettings,
  type Logger,
} from 'ai-sdk-provider-claude-code';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep } from '../runtime/scope.ts';
import { CLI_SETTINGS } from './cli.ts';
import { spawnCli } from './cli-process.ts';
import type { CallHooks, Model } from './call.ts';
import { inCalls } from './calls.ts';
import { isSimulated, simulatedApiUrl } from './simulated-api.ts';
import { createTurns } from './turns.ts';

/** Starting a CLI takes most of a CPU for half a second: all at once, each of them waits for all. */
const spawns = createTurns(() => getCurrent()!.config.modelSpawns);

/**
 * The provider's `claudeCode` for steps that only think: no tools, no settings or files of the host,
 * nobody to ask for permission; what it reads is untrusted text. Each call is a new conversation in a
 * new process. (The provider's own model remembers its session, and resumes it when it is used again.)
 * @param settings those of the provider, over the ones here
 */
export function claudeCode(modelId: Parameters<ClaudeCodeProvider>[0], settings: ClaudeCodeSettings = {}): Model {
  const createModel = (hooks?: CallHooks) => provide(hooks)(modelId, settings);
  return wrapLanguageModel({ model: createModel(), middleware: inCalls(createModel, spawns) });

  function provide(hooks?: CallHooks): ClaudeCodeProvider {
    const { stepId, deploymentId, signal } = currentStep();
    const { config } = getCurrent()!;
    const apiUrl = isSimulated(deploymentId) ? (config.simulatedApiUrl ?? simulatedApiUrl()) : undefined;
    const verbose = settings.verbose ?? config.verbose;
    return createClaudeCode({
      defaultSettings: {
        tools: [],
        settingSources: [],
        permissionMode: 'dontAsk',
        persistSession: false,
        // Also where only the whole answer is wanted: tells what a call that is cut off has used.
        includePartialMessages: true,
        verbose,
        logger: verbose && createLogger(stepId, config.log),
        env: CLI_SETTINGS,
        ...(hooks && { onSdkMessage: hooks.onMessage }),
        spawnClaudeCodeProcess: (options) =>
          spawnCli(options, { signal: hooks?.signal ?? signal, simulatedApiUrl: apiUrl }),
      },
    });
  }
}

/** What the provider says of its calls, for the operator's log. */
function createLogger(stepId: string, log: (line: string) => void): Logger {
  const say = (message: string) => log(`Step ${stepId}: ${message.replace('[claude-code]', 'Claude Code:')}`);
  // A line for every token tells nothing.
  const debug = (message: string) => message.includes('received message type') || say(message);
  return { debug, info: say, warn: say, error: say };
}

/** Who answers in this step: stored with the results, so that a simulation is never taken for Claude. */
export function modelInUse(): 'claude' | 'simulated' {
  return isSimulated(currentStep().deploymentId) ? 'simulated' : 'claude';
}
