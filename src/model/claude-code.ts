import { createClaudeCode, type ClaudeCodeProvider, type ClaudeCodeSettings } from 'ai-sdk-provider-claude-code';
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
  const { deploymentId, signal } = currentStep();
  const apiUrl = isSimulated(deploymentId) ? simulatedApiUrl() : undefined;
  const provider = createClaudeCode({
    defaultSettings: {
      tools: [],
      settingSources: [],
      permissionMode: 'dontAsk',
      persistSession: false,
      logger: false,
      env: CLI_SETTINGS,
      spawnClaudeCodeProcess: (options) => spawnCli(options, { signal, simulatedApiUrl: apiUrl }),
    },
  });
  return inLedger(provider(modelId, settings));
}

/** Who answers in this step: stored with the results, so that a simulation is never taken for Claude. */
export function modelInUse(): 'claude' | 'simulated' {
  return isSimulated(currentStep().deploymentId) ? 'simulated' : 'claude';
}
