import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** When a file, or anything in a folder, was last written, milliseconds since 1970; now where it is gone. */
export async function lastChange(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return found?.mtimeMs ?? Date.now();
  const names = await readdir(path).catch(() => [] as string[]);
  const inside = await Promise.all(names.map((name) => lastChange(join(path, name))));
  return Math.max(found.mtimeMs, ...inside);
}
