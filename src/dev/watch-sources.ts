import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** One save of an editor is several events: a temporary file, a rename, a formatter. */
const QUIET_MS = 200;

/** Not the temporary files of editors (`.#name.ts` of Emacs, `name.ts~` of vim). */
const SOURCE = /^[^.].*\.ts$/;

/**
 * Watches the TypeScript files of the project's folder and, all the way down, of its `src`.
 * @param onChange gets what changed, relative to the project, when it has been quiet for 200 ms
 */
export function watchSources(projectRoot: string, onChange: (paths: string[]) => void): Disposable {
  const changed = new Set<string>();
  let quiet: NodeJS.Timeout | undefined;
  const report = (path: string) => {
    changed.add(relative(projectRoot, path));
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      onChange([...changed].toSorted());
      changed.clear();
    }, QUIET_MS);
  };

  // A watcher for each folder. `recursive: true` of Node 24 on Linux goes deaf for a file that was
  // replaced by a rename, and that is how most editors save.
  const watchers = new Map<string, FSWatcher>();
  const watchFolder = (folder: string, deep: boolean) => {
    const watcher = watch(folder, (event, name) => {
      if (name === null) return;
      const path = join(folder, name);
      if (SOURCE.test(name)) report(path);
      else if (deep && event === 'rename') replaceFolder(path);
    });
    watchers.set(folder, watcher);
    // Windows says so when the folder is removed.
    watcher.on('error', () => forget(folder));
    if (!deep) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) watchFolder(join(folder, entry.name), deep);
    }
  };
  const replaceFolder = (path: string) => {
    forget(path);
    if (!isFolder(path)) return;
    // The files that came with it made no event of their own.
    report(path);
    try {
      watchFolder(path, true);
    } catch {
      // Removed in this moment.
      forget(path);
    }
  };
  const forget = (folder: string) => {
    for (const [path, watcher] of watchers) {
      if (path !== folder && !path.startsWith(folder + sep)) continue;
      watcher.close();
      watchers.delete(path);
    }
  };
  watchFolder(projectRoot, false);
  watchFolder(join(projectRoot, 'src'), true);

  return {
    [Symbol.dispose]() {
      clearTimeout(quiet);
      for (const watcher of watchers.values()) watcher.close();
    },
  };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
