import fsp from 'node:fs/promises';
import path from 'node:path';

/** Makes a rename in `folder` last through a power cut (not possible on Windows, where it is not needed either). */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fsp.open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

/** Makes what is written in a file last through a power cut. */
export async function syncFile(file: string): Promise<void> {
  const handle = await fsp.open(file, 'r+');
  await handle.sync().finally(() => handle.close());
}

/** What a file will hold, whole or in pieces. */
type Contents = Uint8Array | string | AsyncIterable<Uint8Array | string>;

async function writeSynced(file: string, data: Contents): Promise<void> {
  const handle = await fsp.open(file, 'w');
  try {
    await fsp.writeFile(handle, data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a file whole or not at all: aside, synced, renamed. */
export async function writeAtomic(file: string, data: Contents): Promise<void> {
  const aside = `${file}.partial`;
  try {
    await writeSynced(aside, data);
    await fsp.rename(aside, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    await fsp.rm(aside, { force: true });
    throw error;
  }
}

/** Makes a folder unless it is there; the one around it must be: where that was deleted, it is not made anew. */
export async function makeFolder(folder: string): Promise<void> {
  await fsp.mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Writes a folder of files, one after the other, whole or not at all, into a folder that is there. */
export async function writeFolderAtomic(folder: string, files: Record<string, Contents>): Promise<void> {
  const aside = `${folder}.partial`;
  try {
    await fsp.rm(aside, { recursive: true, force: true });
    await fsp.mkdir(aside);
    for (const [name, data] of Object.entries(files)) await writeSynced(path.join(aside, name), data);
    await syncFolder(aside);
    await fsp.rm(folder, { recursive: true, force: true });
    await fsp.rename(aside, folder);
    await syncFolder(path.dirname(folder));
  } catch (error) {
    await fsp.rm(aside, { recursive: true, force: true });
    throw error;
  }
}
