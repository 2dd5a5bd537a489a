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
import { inLedger } from './ledger.ts';
import { isSimulated, simulatedApiUrl } from './simulated-api.ts';

/**
 * The provider's `claudeCode` for steps that only think: no tools, no settings or files of the host,
 * nobody to ask for permission; what it reads is untrusted text. Call it inside the step, for each
 * attempt: a model object remembers its session, and resumes it when it is used again.
 */
export function claudeCode(modelId: Parameters<ClaudeCodeProvider>[0], settings: ClaudeCodeSettings = {}) {
  const { stepId, deploymentId, signal } = currentStep();
  const { config } = getCurrent()!;
  const apiUrl = isSimulated(deploymentId) ? (config.simulatedApiUrl ?? simulatedApiUrl()) : undefined;
  const verbose = settings.verbose ?? config.verbose;
  const provider = createClaudeCode({
    defaultSettings: {
      tools: [],
      settingSources: [],
      permissionMode: 'dontAsk',
      persistSession: false,
      verbose,
      logger: verbose && createLogger(stepId, config.log),
      env: CLI_SETTINGS,
      spawnClaudeCodeProcess: (options) => spawnCli(options, { signal, simulatedApiUrl: apiUrl }),
    },
  });
  return inLedger(provider(modelId, settings));
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
