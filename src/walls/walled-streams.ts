import { WorkflowRunNotFoundError } from '@workflow/errors';
import type { Streamer } from '@workflow/world';
import { runIdOfStream } from '../streams/run-ended.ts';
import type { OwnRuns } from './own-runs.ts';

/**
 * Streams, but not those of other applications' runs. Of a run that is not there yet there may be one: its first
 * message may be waiting for a worker; and some have no run at all.
 */
export function wallStreams(streams: Streamer, runs: OwnRuns): Streamer {
  /** @throws WorkflowRunNotFoundError */
  const assertOurs = async (stream: string, runId = runIdOfStream(stream)) => {
    const owner = runId ?? (await findRunId(stream));
    for (const id of new Set([owner, runIdOfStream(stream)]))
      if (id !== undefined && (await runs.ownerOf(id)) === 'others') throw new WorkflowRunNotFoundError(id);
  };

  /** Of a stream whose name does not tell, as of one that is an argument. */
  const findRunId = async (stream: string) => {
    const rows = await runs.select<{ runId: string }>(
      'SELECT run_id AS "runId" FROM workflow.workflow_stream_chunks WHERE stream_id = $1 LIMIT 1',
      [stream],
    );
    return rows[0]?.runId;
  };

  return {
    ...streams,
    async writeToStream(stream, runId, chunk) {
      await assertOurs(stream, runId);
      return streams.writeToStream(stream, runId, chunk);
    },
    async writeToStreamMulti(stream, runId, chunks) {
      await assertOurs(stream, runId);
      return streams.writeToStreamMulti!(stream, runId, chunks);
    },
    async closeStream(stream, runId) {
      await assertOurs(stream, runId);
      return streams.closeStream(stream, runId);
    },
    async readFromStream(stream, startIndex) {
      await assertOurs(stream);
      return streams.readFromStream(stream, startIndex);
    },
    async listStreamsByRunId(runId) {
      return (await runs.ownerOf(runId)) === 'others' ? [] : streams.listStreamsByRunId(runId);
    },
    async getStreamChunks(stream, runId, options) {
      await assertOurs(stream, runId);
      return streams.getStreamChunks(stream, runId, options);
    },
    async getStreamInfo(stream, runId) {
      await assertOurs(stream, runId);
      return streams.getStreamInfo(stream, runId);
    },
  };
}
