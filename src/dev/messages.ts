/** What a worker of `npm run dev` tells its supervisor. */
export type FromWorker =
  | {
      kind: 'ready';
      /** Whose runs it serves. */
      deploymentId: string;
      /** The deployments of the unfinished runs that it does not take, one for each run. */
      waiting: string[];
    }
  | {
      kind: 'draining';
      /** Runs of its code that have not ended. */
      unfinished: number;
    };

/** What the supervisor tells a worker whose code was changed: go on with the runs begun with it, then end. */
export const DRAIN = 'drain';
