import { CorruptedEventLogError } from '@workflow/errors';
import { EventSchema, type AnyEventRequest, type Event } from '@workflow/world';
import { events } from '@workflow/world-postgres/schema';
import type { ClientBase, Pool } from 'pg';
import { monotonicFactory } from 'ulid';

const PREFIX = 'wevt_';

/** As world-postgres keeps what is in an event, in a step and in a run: CBOR. Null for what is not there. */
export function encode(value: unknown): Buffer | null {
  return value === undefined ? null : (events.eventData.mapToDriverValue(value) as Buffer);
}

export function decode(bytes: Buffer | null): unknown {
  return bytes === null ? undefined : events.eventData.mapFromDriverValue(bytes);
}

/** The data of an event as its row has it. */
export function eventDataOf(event: AnyEventRequest): unknown {
  return 'eventData' in event ? event.eventData : undefined;
}

/** An event as whoever reads it gets it. */
export function asEvent(event: object, runId: string, id: string, createdAt: Date): Event {
  return EventSchema.parse({ ...event, runId, eventId: PREFIX + id, createdAt });
}

/** Ids are no secrets; the generator of the library asks the kernel for every single digit. */
const nextId = monotonicFactory(Math.random);

/**
 * Ids for events that are written together, in order, without prefix. Of one millisecond: the database, which
 * moves them behind what is there, gives all of them another.
 */
export function eventIds(count: number): string[] {
  const now = Date.now();
  return Array.from({ length: count }, () => nextId(now));
}

export interface EventRow {
  id: string;
  type: string;
  correlation_id: string | null;
  created_at: Date;
  payload: unknown;
  payload_cbor: Buffer | null;
  spec_version: number | null;
}

/** The log of a run, in order, from behind an event on. */
export async function readEvents(client: ClientBase | Pool, runId: string, after = ''): Promise<Event[]> {
  const { rows } = await client.query<EventRow>(
    `SELECT id, type, correlation_id, timezone('UTC', created_at) AS created_at, payload, payload_cbor, spec_version
     FROM workflow.workflow_events WHERE run_id = $1 AND id > $2 ORDER BY id`,
    [runId, PREFIX + after],
  );
  return asEvents(rows, runId);
}

/** @throws CorruptedEventLogError which fails the run: nobody can replay over it */
export function asEvents(rows: readonly EventRow[], runId: string): Event[] {
  return rows.map((row) => {
    try {
      return rowAsEvent(row, runId);
    } catch (cause) {
      const { issues, message } = cause as Error & { issues?: { message: string }[] };
      throw new CorruptedEventLogError(
        `The event ${row.id} (${row.type}) cannot be read: ${issues?.[0]?.message ?? message}`,
        { cause },
      );
    }
  });
}

function rowAsEvent(row: EventRow, runId: string): Event {
  const event = {
    eventType: row.type,
    correlationId: row.correlation_id ?? undefined,
    eventData: decode(row.payload_cbor) ?? row.payload ?? undefined,
    specVersion: row.spec_version ?? undefined,
  };
  return asEvent(event, runId, row.id.slice(PREFIX.length), row.created_at);
}
