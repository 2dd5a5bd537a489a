/**
 * Loaded into the dashboard before its own code. It contains a pg-boss of its own (1.9.0 that of schema 42,
 * ours makes 43), which refuses every other version, so that no job's page would open (timgit/pg-boss #884).
 * Newer ones have more columns only; it reads those that it knows. For reading: see read-only in tools.ts.
 */
import { registerHooks } from 'node:module';

const REFUSES_NEWER = 'schemaVersion !== await this.schemaVersion()';
const ACCEPTS_NEWER = 'schemaVersion > await this.schemaVersion()';

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/@pg-boss/dashboard/build/server/index.js')) return loaded;
    const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    return { ...loaded, source: source.replace(REFUSES_NEWER, ACCEPTS_NEWER) };
  },
});
