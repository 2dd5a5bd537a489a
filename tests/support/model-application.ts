import { createApplication, type Application } from './application.ts';
import { loggedInTo, type MessagesApi } from './messages-api.ts';

/** An application whose workflows ask the API of the test, through the real CLI. */
export function createModelApplication(api: MessagesApi, env: Record<string, string> = {}): Promise<Application> {
  return createApplication((url) => ({
    WORKFLOW_POSTGRES_URL: url,
    TEST_WORKFLOWS: 'model-workflows.ts',
    WORKFLOW_POSTGRES_WORKER_CONCURRENCY: '20',
    ...loggedInTo(api),
    ...env,
  }));
}
