import { wrapLanguageModel } from 'ai';
import {
  createClaudeCode,
  type ClaudeCodeProvider,
  type ClaudeCodeSettings,
  type Logger,
} from 'ai-sdk-provider-claude-code';
import { getCurrent } from '../runtime/current-world.ts';
import { currentStep } from '../runtime/scope.ts';
import { cliEnvironment } from './cli-environment.ts';
import { spawnCli } from './spawn-cli.ts';
import { createSpares } from './spares.ts';
import type { CallHooks, Model } from './call.ts';
import { inCalls } from './calls.ts';
import { rememberSecrets, withoutKeys } from './secrets.ts';
import { isSimulated, simulatedApiUrl } from './simulated-api.ts';
import { createTurns } from './turns.ts';

/** Starting a CLI takes most of a CPU for half a second: all at once, each of them waits for all. */
const spawns = createTurns(() => getCurrent()!.config.modelSpawns);

const spares = createSpares(spawns);

/** Requests of one call: an object may need a few; a model that calls tools which are not there would go on for ever. */
const MAX_TURNS = 10;

/**
 * The provider's `claudeCode` for steps that only think: no tools, no settings or files of the host,
 * nobody to ask for permission; what it reads is untrusted text. Each call is a new conversation in a
 * new process. (The provider's own model remembers its session, and resumes it when it is used again.)
 * @param settings those of the provider, over the ones here
 */
export function claudeCode(modelId: Parameters<ClaudeCodeProvider>[0], settings: ClaudeCodeSettings = {}): Model {
  return wrapLanguageModel({
    model: createClaudeCode()(modelId),
    middleware: inCalls({
      createModel: (hooks) => createModel(modelId, settings, hooks),
      who: 'Claude',
      turns: spawns,
      isSimulated: ({ deploymentId }) => isSimulated(deploymentId),
    }),
  });
}

/** The one place where the provider is given what makes its calls safe. */
function createModel(
  modelId: Parameters<ClaudeCodeProvider>[0],
  settings: ClaudeCodeSettings,
  hooks: CallHooks,
): Model {
  const { stepId, deploymentId } = currentStep();
  const { config } = getCurrent()!;
  const apiUrl = isSimulated(deploymentId) ? (config.simulatedApiUrl ?? simulatedApiUrl()) : undefined;
  const verbose = settings.verbose ?? config.verbose;
  rememberSecrets(settings.env);
  const provider = createClaudeCode({
    defaultSettings: {
      tools: [],
      settingSources: [],
      strictMcpConfig: true,
      permissionMode: 'dontAsk',
      persistSession: false,
      maxTurns: MAX_TURNS,
      // Also where only the whole answer is wanted: tells what a call that is cut off has used.
      includePartialMessages: true,
      verbose,
      logger: verbose && createLogger(stepId, config.log),
      spawnClaudeCodeProcess: (options) => spawnCli(options, { spares, signal: hooks.signal, simulatedApiUrl: apiUrl }),
    },
  });
  return provider(modelId, {
    ...settings,
    // The provider would take each of the two for the whole of it.
    env: { ...cliEnvironment(), ...settings.env },
    onSdkMessage(message) {
      hooks.onMessage(message);
      return settings.onSdkMessage?.(message);
    },
  });
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
