import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { FILE_KINDS, FOLDER_KINDS, kindOf, MOST_FOLDER_FILES } from '../../src-preload/contract/uploads.ts';
import { UserError } from '../engine/types.ts';
import { lastChange } from '../studio/last-change.ts';

/** The files of a folder in the order their bytes come in. */
export const folderFiles = z
  .array(z.object({ name: z.string().min(1).max(255), bytes: z.number().int().min(0) }))
  .min(1)
  .max(MOST_FOLDER_FILES);
export type FolderFiles = z.infer<typeof folderFiles>;

/** Left free on the disk, bytes. */
const SPARE_BYTES = 1 << 30;
/** The largest upload, bytes: the largest models that anyone fine-tunes at home. */
export const MOST_BYTES = 256 * 2 ** 30;
/** Between two looks at the disk while writing, bytes: others write, too, and a body may come without its length. */
const LOOK_EVERY = 64 << 20;
/** An upload from which nothing comes for so long is given up, ms. */
const MOST_SILENCE_MS = 60_000;
/** A part that nobody wrote to for so long is left from a studio that was killed, ms. */
const BROKEN_AFTER_MS = 10 * MOST_SILENCE_MS;

/** Removes what killed studios left half written. */
export async function discardBroken(uploads: string): Promise<void> {
  for (const own of await readdir(uploads).catch(() => [])) {
    const names = await readdir(join(uploads, own)).catch(() => []);
    const part = names.find((name) => name.endsWith('.part'));
    if (part === undefined) continue;
    if (Date.now() - (await lastChange(join(uploads, own, part))) > BROKEN_AFTER_MS)
      await rm(join(uploads, own), { recursive: true, force: true });
  }
}

/**
 * Keeps a file dropped on the page under `uploads`, in a folder of its own so that its name stays.
 * @throws UserError on another kind of file or a full disk
 */
export async function keepUpload(uploads: string, name: string, bytes: number, body: Readable): Promise<string> {
  const plain = plainName(name);
  if (!FILE_KINDS.includes(kindOf(plain)) || plain.startsWith('.'))
    throw new UserError(`"${plain}" is no kind of file the studio reads. Drop one of ${FILE_KINDS.join(', ')}.`);
  return keep(uploads, plain, bytes, (path) => pipeline(watched(body, uploads, plain), createWriteStream(path)));
}

/**
 * Keeps a folder dropped on the page, as `keepUpload` keeps a file; `body` is its files' bytes, one after the other.
 * @throws UserError on another kind of file, a name that is no plain one, too few bytes, or a full disk
 */
export async function keepFolderUpload(
  uploads: string,
  name: string,
  files: FolderFiles,
  body: Readable,
): Promise<string> {
  const plain = plainName(name).replace(/^\.+/, '') || 'folder';
  const odd = files.find((file) => plainName(file.name) !== file.name || !FOLDER_KINDS.includes(kindOf(file.name)));
  if (odd || new Set(files.map((file) => file.name.toLowerCase())).size < files.length)
    throw new UserError(
      `"${plain}" can't be taken in as a folder: ${odd ? `"${odd.name}" is no kind of file the studio reads there` : 'two of its files have the same name'}.`,
    );
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return keep(uploads, plain, bytes, async (path) => {
    await mkdir(path);
    const parts = new Parts(watched(body, uploads, plain), plain);
    for (const file of files) await pipeline(parts.take(file.bytes), createWriteStream(join(path, file.name)));
  });
}

export const plainName = (name: string) => basename(name.replaceAll('\\', '/')).replace(/[^\p{L}\p{N} ._()+-]/gu, '_');

/** Written aside and renamed when complete; a broken upload leaves nothing. */
export async function keep(
  uploads: string,
  name: string,
  bytes: number,
  write: (path: string) => Promise<void>,
): Promise<string> {
  await mkdir(uploads, { recursive: true });
  await checkRoom(uploads, name, bytes);
  const own = join(uploads, randomUUID().slice(0, 8));
  await mkdir(own);
  const path = join(own, name);
  try {
    await write(`${path}.part`);
    await rename(`${path}.part`, path);
    return path;
  } catch (error) {
    await rm(own, { recursive: true, force: true });
    throw error;
  }
}

async function checkRoom(uploads: string, name: string, bytes: number): Promise<void> {
  if (bytes > MOST_BYTES) throw new UserError(`"${name}" is larger than the ${MOST_BYTES} bytes that can be sent.`);
  const disk = await statfs(uploads);
  if (bytes + SPARE_BYTES > disk.bavail * disk.bsize)
    throw new UserError(`"${name}" (${bytes} bytes) doesn't fit on the disk of ${uploads}. Free some space first.`);
}

/**
 * A body's bytes, as long as they keep coming and the disk has room for them.
 * @throws UserError when they don't
 */
export async function* watched(body: Readable, uploads: string, name: string): AsyncGenerator<Buffer, void> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let bytes = 0;
  let looked = 0;
  for (;;) {
    const { value, done } = await inTime(chunks.next(), name);
    if (done) return;
    bytes += value.length;
    if (bytes > MOST_BYTES || bytes - looked >= LOOK_EVERY) {
      looked = bytes;
      await checkRoom(uploads, name, bytes > MOST_BYTES ? bytes : 0);
    }
    yield value;
  }
}

async function inTime<Result>(next: Promise<Result>, name: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    const sentence = `Nothing came of "${name}" for ${MOST_SILENCE_MS / 1000} s. Drop it again.`;
    timer = setTimeout(() => reject(new UserError(sentence)), MOST_SILENCE_MS);
  });
  // A connection that broke off
  const whole = next.catch(() => {
    throw new UserError(`"${name}" was not sent whole. Drop it again.`);
  });
  return Promise.race([whole, silence]).finally(() => clearTimeout(timer));
}

/** A stream taken in parts of known sizes. */
export class Parts {
  private rest: Buffer = Buffer.alloc(0);

  constructor(
    private readonly chunks: AsyncGenerator<Buffer, void>,
    private readonly name: string,
  ) {}

  async *take(bytes: number): AsyncGenerator<Buffer> {
    while (bytes > 0) {
      if (this.rest.length === 0) {
        const { value, done } = await this.chunks.next();
        if (done) throw new UserError(`"${this.name}" was not sent whole. Drop it again.`);
        this.rest = value;
      }
      const part = this.rest.subarray(0, bytes);
      this.rest = this.rest.subarray(part.length);
      bytes -= part.length;
      yield part;
    }
  }
}
