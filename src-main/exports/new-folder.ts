import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { syncFile, syncFolder } from '../trainer/atomic.ts';

/**
 * Makes a folder whose files are all there or none: `write` fills one beside it, which is then renamed. Where `write` throws,
 * nothing is left.
 * @throws UserError when the folder holds something already, or can't be made
 */
export async function writeNewFolder(folder: string, write: (aside: string) => Promise<void>): Promise<void> {
  await refuseUsed(folder);
  const aside = `${path.resolve(folder)}.partial-${process.pid}`;
  try {
    await fsp.mkdir(aside, { recursive: true });
    await write(aside);
    for (const name of await namesIn(aside)) await syncFile(path.join(aside, name));
    await fsp.rm(folder, { recursive: true, force: true });
    for (const inside of await foldersIn(aside)) await syncFolder(inside);
    await fsp.rename(aside, folder);
    await syncFolder(path.dirname(path.resolve(folder)));
  } catch (error) {
    await fsp.rm(aside, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC') throw new UserError(`The disk of ${folder} is full; free some space and try again`);
    if (code === 'EACCES' || code === 'EROFS')
      throw new UserError(`${folder} can't be written (${code}); choose another folder with --out`);
    throw error;
  }
}

/** @throws UserError when there is something under that name other than an empty folder */
export async function refuseUsed(folder: string): Promise<void> {
  const names = await fsp.readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new UserError(`${folder} is no folder; choose another one with --out`);
  });
  if (names.length > 0) throw new UserError(`${folder} holds files already; choose another folder with --out`);
}

/** What lies in a folder that was written, and in those in it: `unet/config.json`. */
export async function listFiles(folder: string): Promise<{ name: string; byteLength: number }[]> {
  const names = await namesIn(folder);
  return Promise.all(names.map(async (name) => ({ name, byteLength: (await fsp.stat(path.join(folder, name))).size })));
}

const entriesIn = (folder: string) => fsp.readdir(folder, { recursive: true, withFileTypes: true });

async function namesIn(folder: string): Promise<string[]> {
  const files = (await entriesIn(folder)).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => path.relative(folder, path.join(parentPath, name)).replaceAll(path.sep, '/'))
    .sort();
}

/** A folder's own folders, and at last itself. */
async function foldersIn(folder: string): Promise<string[]> {
  const inside = (await entriesIn(folder)).filter((entry) => entry.isDirectory());
  return [...inside.map(({ parentPath, name }) => path.join(parentPath, name)), folder];
}
