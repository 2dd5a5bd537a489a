import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DRAIN, type FromWorker } from './messages.ts';

/** A worker that crashed is started again after this. */
const RESTART_DELAY_MS = 1_000;

/** A worker ends by itself 4.5 s after it was told to; one in an endless loop hears nothing. */
const KILL_AFTER_MS = 6_000;

export interface Fleet {
  /** Starts a worker with the code as it is now. When it is ready, it takes the place of the ones before. */
  replace(): void;
  /** Tells all workers to end; at once, if they were told before. Resolves when they have ended. */
  stop(): Promise<void>;
}

interface Member {
  process: ChildProcess;
  state: 'starting' | 'serving' | 'draining' | 'stopping';
  /** Known when it is ready. */
  deploymentId: string;
  /** Runs of its code that have not ended; known while it drains. */
  unfinished: number | undefined;
  ended: Promise<void>;
}

/** The workers of one developer: one with the newest code, and those that still have runs of older code. */
export function createFleet(environment: NodeJS.ProcessEnv, note: (line: string) => void): Fleet {
  const members = new Set<Member>();
  let restart: NodeJS.Timeout | undefined;
  let stopping = false;

  const hasOne = (state: Member['state']) => [...members].some((member) => member.state === state);

  const stopMember = (member: Member) => {
    member.state = 'stopping';
    member.process.kill('SIGTERM');
    const timer = setTimeout(() => member.process.kill('SIGKILL'), KILL_AFTER_MS);
    void member.ended.then(() => clearTimeout(timer));
  };

  const onReady = (member: Member, { deploymentId, waiting }: FromWorker & { kind: 'ready' }) => {
    member.state = 'serving';
    member.deploymentId = deploymentId;
    note(`Serving the runs of code ${deploymentId}.`);
    for (const older of members) {
      if (older === member || older.state === 'stopping') continue;
      if (older.deploymentId === deploymentId) stopMember(older);
      else if (older.state === 'serving') {
        older.state = 'draining';
        older.process.send(DRAIN);
      }
    }
    const isServed = (id: string) =>
      [...members].some((it) => it.deploymentId !== '' && id.startsWith(it.deploymentId));
    const stranded = waiting.filter((id) => !isServed(id)).length;
    if (stranded > 0) note(`${runs(stranded)} of other code, or of another model: waiting for a worker that has it.`);
  };

  const onDraining = (member: Member, unfinished: number) => {
    if (unfinished > 0 && unfinished !== member.unfinished) {
      note(`Code ${member.deploymentId} goes on with the ${runs(unfinished)} that it began, and ends with them.`);
    }
    member.unfinished = unfinished;
  };

  const onEnd = (member: Member, how: string) => {
    members.delete(member);
    const { state, deploymentId, unfinished } = member;
    if (stopping) {
      if (unfinished) note(`${runs(unfinished)} of code ${deploymentId}: waiting in the database for that code.`);
    } else if (state === 'starting') {
      const goesOn = hasOne('serving') ? 'The one before goes on' : 'No worker runs';
      note(`✗ The worker did not start. ${goesOn}; the next change of a file is the next try.`);
    } else if (state === 'serving' && hasOne('starting')) {
      note(`✗ The worker died (${how}). The new one is starting.`);
    } else if (state === 'serving') {
      note(`✗ The worker died (${how}). Starting another one …`);
      restart = setTimeout(() => replace(), RESTART_DELAY_MS);
    } else if (state === 'draining' && how === 'exit code 0') {
      note(`Code ${deploymentId} has no unfinished run left; its worker has ended.`);
    } else if (state === 'draining') {
      // Not started again: its code is not in the files any more.
      note(
        `✗ The worker of code ${deploymentId} died (${how}). Its ${unfinished === undefined ? 'unfinished runs' : runs(unfinished)}: waiting in the database.`,
      );
      note('  Undo the changes since then, and a worker with that code takes them up.');
    }
  };

  const replace = () => {
    clearTimeout(restart);
    if (stopping) return;
    // One that was still starting has read files that are no more.
    for (const member of members) if (member.state === 'starting') stopMember(member);
    const child = startWorker(environment);
    const ended = Promise.withResolvers<void>();
    const member: Member = {
      process: child,
      state: 'starting',
      deploymentId: '',
      unfinished: undefined,
      ended: ended.promise,
    };
    members.add(member);
    child.on('message', (message: FromWorker) => {
      if (member.state === 'stopping') return;
      if (message.kind === 'ready') onReady(member, message);
      else onDraining(member, message.unfinished);
    });
    child.once('exit', (code, signal) => {
      onEnd(member, signal ?? `exit code ${code}`);
      ended.resolve();
    });
    // It could not be started, or told something in the moment of its death, which `exit` reports.
    child.on('error', ({ message }) => {
      if (child.pid !== undefined) return;
      onEnd(member, message);
      ended.resolve();
    });
  };

  return {
    replace,
    async stop() {
      stopping = true;
      clearTimeout(restart);
      for (const member of members) stopMember(member);
      await Promise.all([...members].map(({ ended }) => ended));
    },
  };
}

function startWorker(env: NodeJS.ProcessEnv): ChildProcess {
  const file = fileURLToPath(new URL('worker.ts', import.meta.url));
  return spawn(process.execPath, ['--import', import.meta.resolve('tsx'), file], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

function runs(count: number): string {
  return count === 1 ? '1 unfinished run' : `${count} unfinished runs`;
}
