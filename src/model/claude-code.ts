import {
  createClaudeCode,
  type ClaudeCodeProvider,
  type ClaudeCodeSettings,
  type Logger,
} from 'ai-sdk-provider-claude-code';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep } from '../runtime/scope.ts';
import { cliEnvironment } from './cli-environment.ts';
import { spawnCli } from './cli-process.ts';
import { inLedger } from './ledger.ts';
import { withoutKeys } from './secrets.ts';
import { isSimulated, simulatedApiUrl } from './simulated-api.ts';

/** Requests of one call: an object may need a few; a model that calls tools which are not there would go on for ever. */
const MAX_TURNS = 10;

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
      strictMcpConfig: true,
      permissionMode: 'dontAsk',
      persistSession: false,
      maxTurns: MAX_TURNS,
      verbose,
      logger: verbose && createLogger(stepId, config.log),
      spawnClaudeCodeProcess: (options) => spawnCli(options, { signal, simulatedApiUrl: apiUrl }),
    },
  });
  // The provider would take settings.env for the whole of it.
  return inLedger(provider(modelId, { ...settings, env: { ...cliEnvironment(), ...settings.env } }));
}

/** What the provider says of its calls, for the operator's log. */
function createLogger(stepId: string, log: (line: string) => void): Logger {
  const say = (message: string) =>
    log(`Step ${stepId}: ${withoutKeys(message.replace('[claude-code]', 'Claude Code:'))}`);
  // A line for every token tells nothing.
  const debug = (message: string) => message.includes('received message type') || say(message);
  return { debug, info: say, warn: say, error: say };
}

/** Who answers in this step: stored with the results, so that a simulation is never taken for Claude. */
export function modelInUse(): 'claude' | 'simulated' {
  return isSimulated(currentStep().deploymentId) ? 'simulated' : 'claude';
}
