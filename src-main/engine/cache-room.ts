import fsp from 'node:fs/promises';
import path from 'node:path';

/** What a process left half-written and has not touched for so long is nobody's any more, milliseconds. */
const LEFT_BEHIND_MS = 24 * 3600 * 1000;

/** Marks a file as used now. */
export async function touch(file: string): Promise<void> {
  const now = new Date();
  await fsp.utimes(file, now, now).catch(() => {});
}

/** Removes the least recently used files of this ending until the others have at most `mostBytes`; `kept` stays, however large. */
export async function makeRoom(folder: string, kept: string, mostBytes: number, ending: string): Promise<void> {
  const files: { file: string; bytes: number; usedMs: number }[] = [];
  for (const name of await fsp.readdir(folder)) {
    const file = path.join(folder, name);
    const stat = await fsp.stat(file).catch(() => undefined);
    if (!stat?.isFile()) continue;
    if (name.endsWith(ending)) files.push({ file, bytes: stat.size, usedMs: stat.mtimeMs });
    else if (name.endsWith('.partial') && Date.now() - stat.mtimeMs > LEFT_BEHIND_MS) await remove(file);
  }
  files.sort((a, b) => b.usedMs - a.usedMs);
  let bytes = files.find(({ file }) => file === kept)?.bytes ?? 0;
  for (const { file, bytes: more } of files) {
    if (file === kept) continue;
    bytes += more;
    if (bytes > mostBytes) await remove(file);
  }
}

/** One that another process has open may not be removable: then it stays until the next time. */
async function remove(file: string): Promise<void> {
  await fsp.rm(file, { force: true }).catch(() => {});
}
