import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UserError } from '../engine/types.ts';

const ACCEPTED = ['.gguf', '.effilora', '.jsonl', '.json', '.csv', '.tsv', '.parquet', '.txt', '.md'];
/** Left free on the disk, bytes. */
const SPARE_BYTES = 1 << 30;

/**
 * Keeps a file dropped on the page under `folder`, in a folder of its own so that its name stays.
 * Written aside and renamed when complete; a broken upload leaves nothing.
 * @throws UserError on another kind of file or a full disk
 */
export async function keepUpload(folder: string, name: string, bytes: number, body: Readable): Promise<string> {
  const plain = basename(name.replaceAll('\\', '/')).replace(/[^\p{L}\p{N} ._()+-]/gu, '_');
  const kind = extname(plain).toLowerCase();
  if (!ACCEPTED.includes(kind) || plain.startsWith('.'))
    throw new UserError(`"${plain}" is no kind of file the studio reads. Drop one of ${ACCEPTED.join(', ')}.`);
  await mkdir(folder, { recursive: true });
  const disk = await statfs(folder);
  if (bytes + SPARE_BYTES > disk.bavail * disk.bsize)
    throw new UserError(`"${plain}" (${bytes} bytes) doesn't fit on the disk of ${folder}. Free some space first.`);
  const own = join(folder, randomUUID().slice(0, 8));
  await mkdir(own);
  const path = join(own, plain);
  try {
    await pipeline(body, createWriteStream(`${path}.part`));
    await rename(`${path}.part`, path);
    return path;
  } catch (error) {
    await rm(own, { recursive: true, force: true });
    throw error;
  }
}
