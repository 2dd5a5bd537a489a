import { createDriving, type DrivingOptions } from './driving.ts';
import { handleRunJob, type HandedOver } from './handle-run-job.ts';

/**
 * Drives the run of one job that another process has fetched, executes all of its steps here, and
 * takes nothing else. Resolves when the run was given back.
 * @param onHeld called when this process keeps the lease alive
 */
export async function driveOne(
  options: DrivingOptions,
  { deploymentId, job }: Omit<HandedOver, 'letGo'>,
  onHeld: () => void,
  stopping: AbortSignal,
): Promise<void> {
  const driving = createDriving(options);
  const { leases } = driving;
  stopping.addEventListener('abort', leases.abortAll);
  if (stopping.aborted) leases.abortAll();
  try {
    const driven = handleRunJob(job, driving.contextFor(deploymentId, true), leases);
    await driving.locked();
    onHeld();
    await driven;
  } finally {
    driving.stop();
  }
}
