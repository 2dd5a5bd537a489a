import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import type { applySwcTransform } from '@workflow/builders';
import type { Plugin } from 'esbuild';
import { readDirectives, type Directives } from './directives.ts';
import { atTop, type Mistake } from './mistakes.ts';
import { parseSource, type Source } from './source.ts';
import { readSwcErrors } from './swc-error.ts';

export interface CheckedSource {
  /** Undefined where the syntax is wrong. */
  source: Source | undefined;
  directives: Directives;
}

export interface SourceCheck {
  /** Each file is checked once. */
  check(file: string): Promise<CheckedSource>;
  /** All files that were checked until now, by their absolute paths. */
  all(): Promise<Map<string, CheckedSource>>;
  /** What was found in them. */
  mistakes(): Mistake[];
  /** Checks what esbuild reads, before the transform sees it, which would write a stack to stderr. */
  plugin: Plugin;
}

/** The check of the project's own files; packages are their authors'. */
export function createSourceCheck(projectRoot: string, transform: typeof applySwcTransform): SourceCheck {
  const checks = new Map<string, Promise<CheckedSource>>();
  const mistakes: Mistake[] = [];

  const checkFile = async (file: string): Promise<CheckedSource> => {
    const text = await readFile(file, 'utf8');
    const source = await parseSource(file, text);
    if (Array.isArray(source)) {
      mistakes.push(...source);
      return { source: undefined, directives: { ofFile: undefined, functions: [], mistakes: source } };
    }
    const directives = readDirectives(source);
    const { ofFile, functions } = directives;
    if (directives.mistakes.length === 0 && (ofFile || functions.length > 0)) {
      directives.mistakes.push(...(await refusedByTransform(file, text)));
    }
    mistakes.push(...directives.mistakes);
    return { source, directives };
  };

  const refusedByTransform = async (file: string, text: string): Promise<Mistake[]> => {
    const name = relative(projectRoot, file);
    // It is written into code as it is.
    if (/["']/.test(name)) return [atTop(file, 'has a quote in its path, which the compiler cannot take; rename it')];
    try {
      await transform(name, text, 'workflow', file, projectRoot, projectRoot);
      return [];
    } catch (error) {
      const errors = readSwcErrors((error as Error).message);
      if (errors.length === 0) throw error;
      return errors.map((it) => ({ ...it, file, name: undefined }));
    }
  };

  const check = (file: string) => {
    const before = checks.get(file) ?? checkFile(file);
    checks.set(file, before);
    return before;
  };

  return {
    check,
    async all() {
      return new Map(await Promise.all([...checks].map(async ([file, checked]) => [file, await checked] as const)));
    },
    mistakes: () => mistakes,
    plugin: {
      name: 'source-check',
      setup(build) {
        build.onLoad({ filter: /\.[mc]?[jt]sx?$/, namespace: 'file' }, async ({ path }) => {
          if (path.includes('/node_modules/')) return undefined;
          const { directives } = await check(path);
          return directives.mistakes.length === 0
            ? undefined
            : { errors: directives.mistakes.map(({ text }) => ({ text })) };
        });
      },
    },
  };
}
