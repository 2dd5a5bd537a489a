/** Part of the workflow bundle, too: it imports nothing. */

/** What somebody says to a run that waits for it. */
export type Approval = { approved: true } | { approved: false; reason: string };

/** The tokens of the hooks on which runs wait for approval begin so; the id of the run follows. */
export const APPROVAL_PREFIX = 'approval:';

/** The token of the hook on which a run waits for its approval. */
export function approvalToken(runId: string): string {
  return `${APPROVAL_PREFIX}${runId}`;
}

/** The commands that answer, `yes` and `no`. */
export function approvalCommands(runId: string): { yes: string; no: string } {
  return {
    yes: `npm run postgres-world:approve -- ${runId}`,
    no: `npm run postgres-world:reject -- ${runId} --reason TEXT`,
  };
}
