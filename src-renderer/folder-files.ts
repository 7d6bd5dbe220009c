import {
  DATASET_DEPTH,
  DATASET_FOLDER_KINDS,
  DATASET_KINDS,
  FOLDER_KINDS,
  isAbout,
  kindOf,
  MOST_DATASET_FILES,
  MOST_FOLDER_FILES,
  needsTable,
  PICTURE_KINDS,
} from '../src-preload/contract/uploads.ts';

/** A file of a folder that was dropped. */
export interface FolderFile {
  /** with the folders it lies in: `pictures/1.png` */
  name: string;
  file: File;
}

/** One of these a folder of a model or an adapter has. */
const WEIGHTS = /\.safetensors$|^(config|adapter|adapter_config)\.json$/;
const isOf = (kinds: string[], { name }: { name: string }) => kinds.includes(kindOf(name));

/** Whether the files are those of a dataset; else they are a model's or an adapter's. */
export const holdsRows = (files: FolderFile[]): boolean => !files.some(({ name }) => WEIGHTS.test(name));

/**
 * What the studio reads of a folder: of a model or an adapter its own files of certain kinds, of a dataset rows and pictures, also those
 * in folders inside it.
 * @throws Error for a folder with nothing of that, or with too much
 */
export async function filesOfFolder(folder: FileSystemDirectoryEntry): Promise<FolderFile[]> {
  const own = (await entriesOf(folder)).filter(({ isFile }) => isFile);
  if (own.some(({ name }) => name === 'model_index.json'))
    throw new Error(
      `${folder.name} is a model that makes pictures, of several folders, which aren’t sent. Choose it with Browse… on the page of base models, where it lies on the studio’s machine.`,
    );
  if (own.some(({ name }) => WEIGHTS.test(name))) {
    const wanted = own.filter((entry) => isOf(FOLDER_KINDS, entry));
    return filesOf(folder, wanted.map((entry) => ({ name: entry.name, entry: entry as FileSystemFileEntry })), MOST_FOLDER_FILES); // prettier-ignore
  }
  const all = (await entriesBelow(folder, '', DATASET_DEPTH)).filter(({ entry }) => isOf(DATASET_FOLDER_KINDS, entry));
  if (!all.some(({ entry }) => isOf(DATASET_KINDS, entry) && !isAbout(entry.name)))
    throw new Error(
      all.some(({ entry }) => isOf(PICTURE_KINDS, entry))
        ? needsTable(folder.name)
        : `${folder.name} holds no files of a model or an adapter, and no rows. Choose another folder, or drop one of its files.`,
    );
  return filesOf(folder, all, MOST_DATASET_FILES);
}

interface FoundEntry {
  name: string;
  entry: FileSystemFileEntry;
}

async function filesOf({ name: folder }: FileSystemEntry, found: FoundEntry[], most: number): Promise<FolderFile[]> {
  if (found.length > most)
    throw new Error(
      `${folder} holds ${found.length} files; the studio takes ${most} at most. Choose it with Browse… where it lies on the studio’s machine.`,
    );
  const files: FolderFile[] = [];
  for (const { name, entry } of found)
    files.push({ name, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
  return files;
}

async function entriesBelow(folder: FileSystemDirectoryEntry, under: string, depth: number): Promise<FoundEntry[]> {
  const found: FoundEntry[] = [];
  for (const entry of await entriesOf(folder)) {
    const name = `${under}${entry.name}`;
    if (entry.name.startsWith('.')) continue;
    if (entry.isFile) found.push({ name, entry: entry as FileSystemFileEntry });
    else if (depth > 1) found.push(...(await entriesBelow(entry as FileSystemDirectoryEntry, `${name}/`, depth - 1)));
  }
  return found;
}

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // A reader gives its entries piece by piece, the last piece empty.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return all;
    all.push(...entries);
  }
}
