import { runWorld, type RunningWorld, type WorldConfig } from '../../world-config.ts';
import { answerApproval } from './approval.ts';
import type { Command, Mode } from './arguments.ts';
import { answerAttach } from './attach.ts';
import { answerCancel } from './cancel.ts';
import type { Answer, Output } from './output.ts';
import { answerPrune } from './prune.ts';
import { answerRedrive } from './redrive.ts';
import { answerRunStatus, answerStatus } from './status.ts';

export interface Question extends Command {
  runId: string;
  output: Output;
  /** Fires at Ctrl+C. */
  stopping: AbortSignal;
}

/** @returns what is shown, or the exit code of what has shown itself */
type Answering = (world: RunningWorld, question: Question) => Promise<Answer | number>;

/** The modes that look at runs, or change them, and execute nothing. */
const ANSWERS: Partial<Record<Mode, Answering>> = {
  status: (world, { runId, limit }) => (runId ? answerRunStatus(world, runId) : answerStatus(world, limit)),
  attach: answerAttach,
  cancel: (world, { runId }) => answerCancel(world, runId),
  redrive: (world, { runId }) => answerRedrive(world, runId),
  approve: (world, { runId }) => answerApproval(world, runId, { approved: true }),
  reject: (world, { runId, reason = '' }) => answerApproval(world, runId, { approved: false, reason }),
  prune: (world, question) => answerPrune(world, question, question.stopping),
};

/** Those that begin runs, which need the workflows. */
const COMPILED: ReadonlySet<Mode> = new Set(['redrive']);

/**
 * Does what the command asks for, if that needs no worker.
 * @returns the exit code; undefined for the other modes
 */
export async function answer(
  command: Command,
  config: WorldConfig,
  output: Output,
  stopping: AbortSignal,
): Promise<number | undefined> {
  const answering = ANSWERS[command.mode];
  if (!answering) return undefined;
  const workflowFiles = COMPILED.has(command.mode) ? config.workflowFiles : [];
  const world = await runWorld({ ...config, worker: false, workflowFiles });
  const answered = await answering(world, { ...command, runId: command.runId ?? '', output, stopping });
  if (typeof answered === 'number') return answered;
  output.result(answered);
  return 0;
}
