import { ConfigError, type WorldConfig } from '../config/config.ts';
import { isLoggedIn } from '../model/cli.ts';

const REMEDY = `Nobody is logged in to Claude. Either
  - log in:                     npm run claude:login
  - or use an API key:          ANTHROPIC_API_KEY=…
  - or accept made-up answers:  WORKFLOW_MODEL=simulated`;

/**
 * Who answers. Without a login the examples simulate; a worker does so only when it was told to.
 * @throws ConfigError with the remedy
 */
export async function chooseModel(
  configured: WorldConfig['model'],
  { fallBack }: { fallBack: boolean },
): Promise<'claude' | 'simulated'> {
  if (configured === 'simulated') return 'simulated';
  if (await isLoggedIn()) return 'claude';
  if (configured === 'auto' && fallBack) return 'simulated';
  throw new ConfigError(REMEDY);
}
