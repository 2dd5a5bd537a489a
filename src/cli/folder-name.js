/**
 * Every script of package.json loads this before the program: in such a folder, Node, tsx or esbuild fails with a
 * stack trace before our first line, or the compiler does later. Plain JavaScript, because tsx cannot even read
 * TypeScript there.
 */
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../..', import.meta.url));
const [character] = /[#?*\r\n]/.exec(folder) ?? [];
if (character) {
  const [quoted, path] = [character, folder].map((text) => JSON.stringify(text));
  process.stderr.write(
    `There is a ${quoted} in the path of this folder, where Node or the compiler stumbles: rename ${path}\n`,
  );
  process.exit(1);
}
