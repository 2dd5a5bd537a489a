/** What is used of `@dbos-inc/dbos-sdk`, whose own types are there only when bench/ was installed. */
interface Dbos {
  setConfig(config: {
    name: string;
    systemDatabaseUrl: string;
    logLevel: string;
    executorID: string;
    listenQueues?: string[];
  }): void;
  registerWorkflow<Args extends unknown[]>(
    workflow: (...args: Args) => Promise<void>,
    config: { name: string },
  ): (...args: Args) => Promise<void>;
  runStep<T>(step: () => Promise<T>, config: { name: string }): Promise<T>;
  startWorkflow<Args extends unknown[]>(
    workflow: (...args: Args) => Promise<void>,
    options: { queueName: string | undefined },
  ): (...args: Args) => Promise<{ workflowID: string }>;
  registerQueue(name: string, options: { minPollingIntervalMs: number }): Promise<unknown>;
  launch(): Promise<void>;
  shutdown(): Promise<void>;
  readonly workflowID: string;
  readonly stepID: number;
}

const PACKAGE = '@dbos-inc/dbos-sdk';

export const { DBOS } = (await import(PACKAGE)) as { DBOS: Dbos };
