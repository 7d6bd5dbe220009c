import { createHash } from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { sha256OfFile } from '../engine/python-wheel.ts';
import { syncFolder, writeFolderAtomic } from './atomic.ts';

/** The two files an adapter is. */
export const ADAPTER_FILES = ['adapter.safetensors', 'adapter.json'] as const;
const [TENSORS, DESCRIPTION] = ADAPTER_FILES;

/** Where both lie, whole, before they replace those that are there. */
const NEXT = 'adapter.next';

/**
 * Replaces an adapter's two files as one; `describe` gets the tensors' checksum. From the moment the new ones are whole beside
 * the old ones, every reader that calls `settlePair` sees the new ones; before, the old ones.
 */
export async function writePair(
  folder: string,
  tensors: AsyncIterable<Uint8Array>,
  describe: (tensorsSha256: string) => string,
): Promise<void> {
  await settlePair(folder);
  const hash = createHash('sha256');
  async function* hashed() {
    for await (const piece of tensors) {
      hash.update(piece);
      yield piece;
    }
  }
  async function* described() {
    yield describe(hash.digest('hex'));
  }
  await writeFolderAtomic(path.join(folder, NEXT), { [TENSORS]: hashed(), [DESCRIPTION]: described() });
  await settlePair(folder);
}

/** Copies an adapter's two files over those of another folder, as one. */
export async function copyPair(from: string, to: string): Promise<void> {
  await settlePair(from);
  await settlePair(to);
  const files = await Promise.all(ADAPTER_FILES.map(async (name) => [name, await fsp.readFile(path.join(from, name))]));
  await writeFolderAtomic(path.join(to, NEXT), Object.fromEntries(files) as Record<string, Uint8Array>);
  await settlePair(to);
}

/** Brings a replacement to its end that was cut off after the new files were whole. Anybody may, at any time, again and again. */
export async function settlePair(folder: string): Promise<void> {
  const next = path.join(folder, NEXT);
  if (!(await fsp.stat(next).catch(() => undefined))) return;
  for (const name of ADAPTER_FILES) await unlessGone(fsp.rename(path.join(next, name), path.join(folder, name)));
  await syncFolder(folder);
  await unlessGone(fsp.rmdir(next));
}

/**
 * Reads an adapter's two files as of one writing while somebody may replace them; `read` gives undefined where they don't belong
 * together. They are read again as long as they change: only two that stand still have been replaced or damaged (undefined).
 * @param tensors path of the tensors, the description lies in the same folder
 */
export async function readPair<T>(tensors: string, read: () => Promise<T | undefined>): Promise<T | undefined> {
  const folder = path.dirname(tensors);
  for (let mismatched: string | undefined; ;) {
    await settlePair(folder);
    const before = await stateOf(folder, tensors);
    const result = await read();
    if (before !== (await stateOf(folder, tensors))) continue;
    if (result !== undefined || mismatched === before) return result;
    mismatched = before;
  }
}

/** Changes with every replacement of one of the two files. */
async function stateOf(folder: string, tensors: string): Promise<string> {
  const files = await Promise.all(
    [tensors, path.join(folder, DESCRIPTION)].map((file) => fsp.stat(file, { bigint: true })),
  );
  return files.map(({ ino, size, mtimeNs }) => `${ino} ${size} ${mtimeNs}`).join();
}

/** Whether the tensors are those that the description was written with; one that doesn't say is taken at its word. */
export async function belongTogether(tensors: string, tensorsSha256: string | undefined): Promise<boolean> {
  return tensorsSha256 === undefined || (await sha256OfFile(tensors)) === tensorsSha256;
}

async function unlessGone(change: Promise<void>): Promise<void> {
  await change.catch((error: NodeJS.ErrnoException) => {
    // Another one settles it, too, or has made new ones meanwhile.
    if (!['ENOENT', 'ENOTEMPTY'].includes(error.code ?? '')) throw error;
  });
}
