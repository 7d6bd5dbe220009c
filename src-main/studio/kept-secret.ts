import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A random secret that stays the same from start to start, in a file only this user can read. One that others could read is
 * replaced. Deleting the file makes a new one at the next start.
 * @returns 43 characters of the alphabet of base64url
 */
export async function keptSecret(folder: string, name: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  if (await isOpenToOthers(path)) await rm(path);
  const known = await read(path);
  if (known) return known;
  // Written aside and linked: of two studios that start at once, both take what the first one wrote.
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  try {
    await link(aside, path).catch(async (error: NodeJS.ErrnoException) => {
      // A file system without links
      if (error.code !== 'EEXIST') await rename(aside, path);
    });
    return (await read(path))!;
  } finally {
    await rm(aside, { force: true });
  }
}

async function read(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^[\w-]{32,}$/.exec(text.trim())?.[0];
}

async function isOpenToOthers(path: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && ((found.mode & 0o077) !== 0 || !(await read(path)));
}
