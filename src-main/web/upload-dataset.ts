import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DATASET_DEPTH, DATASET_FOLDER_KINDS, kindOf, MOST_DATASET_FILES } from '../../src-preload/contract/uploads.ts';
import { UserError } from '../engine/types.ts';
import { keep, Parts, plainName, watched } from './upload.ts';

/** The files of a dataset's folder, names with the folders they lie in (`pictures/1.png`), in the order of their bytes. */
const datasetFiles = z
  .array(z.object({ name: z.string().min(1).max(1_024), bytes: z.number().int().min(0) }))
  .min(1)
  .max(MOST_DATASET_FILES);
/** Their names and sizes at most, bytes. */
const MOST_DESCRIPTION = 64 << 20;

/**
 * Keeps a folder of rows and pictures that was dropped on the page, under the names that its rows know.
 * @param described how many bytes of the body say which files it holds (JSON); theirs come behind, one after the other
 * @throws UserError on another kind of file, a name that could lead elsewhere, too few bytes, or a full disk
 */
export async function keepDatasetUpload(
  uploads: string,
  name: string,
  described: number,
  total: number,
  body: Readable,
): Promise<string> {
  const plain = plainName(name).replace(/^\.+/, '') || 'folder';
  if (!(described > 0 && described <= MOST_DESCRIPTION)) throw new UserError(notTaken(plain));
  return keep(uploads, plain, total, async (path) => {
    const parts = new Parts(watched(body, uploads, plain), plain);
    const files = await filesOf(parts, described, plain);
    for (const file of files) {
      const place = join(path, ...file.name.split('/'));
      await mkdir(dirname(place), { recursive: true });
      await pipeline(parts.take(file.bytes), createWriteStream(place, { flags: 'wx' }));
    }
  });
}

const notTaken = (name: string) => `"${name}" can't be taken in as a dataset. Reload the page and drop it again.`;

async function filesOf(parts: Parts, described: number, name: string): Promise<z.infer<typeof datasetFiles>> {
  const pieces: Buffer[] = [];
  for await (const piece of parts.take(described)) pieces.push(piece);
  const files = parsed(Buffer.concat(pieces).toString('utf8'));
  if (!files) throw new UserError(notTaken(name));
  const odd = files.find((file) => !isPlain(file.name) || !DATASET_FOLDER_KINDS.includes(kindOf(file.name)));
  if (odd)
    throw new UserError(`"${name}" can't be taken in as a dataset: "${odd.name.slice(0, 200)}" is no kind of file the studio reads there.`); // prettier-ignore
  if (new Set(files.map((file) => file.name.toLowerCase())).size < files.length)
    throw new UserError(`"${name}" can't be taken in as a dataset: two of its files have the same name.`);
  return files;
}

function parsed(json: string) {
  try {
    return datasetFiles.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

/** Names that every system takes, none of which leads out of the folder or hides. */
const isPlain = (name: string) => {
  const steps = name.split('/');
  return steps.length <= DATASET_DEPTH && steps.every((step) => /^[^.\0-\x1f/\\:*?"<>|][^\0-\x1f/\\:*?"<>|]*$/.test(step) && !/[. ]$/.test(step)); // prettier-ignore
};
