import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UserError } from '../../engine/types.ts';
import type { HubClient, HubFile, HubKind } from './client.ts';

export interface FetchRequest {
  client: HubClient;
  kind: HubKind;
  repository: string;
  file: HubFile;
  /** where it will lie */
  target: string;
  signal: AbortSignal;
  /** bytes of this file that are there */
  onBytes: (bytes: number) => void;
}

/**
 * Brings one file. It grows beside its place as `.part`, goes on there after an interruption, and is renamed once its
 * checksum is the hub's.
 * @throws UserError when what came is not what the hub says (then it is thrown away), or the connection broke
 */
export async function fetchFile(request: FetchRequest): Promise<void> {
  const { file, target, onBytes } = request;
  if ((await bytesOf(target)) === file.bytes) return onBytes(file.bytes);
  const part = `${target}.part`;
  await mkdir(dirname(target), { recursive: true });
  if ((await bytesOf(part)) > file.bytes) await rm(part);
  if ((await bytesOf(part)) < file.bytes || file.bytes === 0) await download(request, part);
  if ((await bytesOf(part)) !== file.bytes || !(await matches(part, file))) {
    await rm(part, { force: true });
    throw new UserError(
      `${file.path} did not arrive as the hub has it (its checksum differs), so it was thrown away. Download it again.`,
    );
  }
  await rename(part, target);
}

async function download({ client, kind, repository, file, signal, onBytes }: FetchRequest, part: string) {
  const have = await bytesOf(part);
  const response = await client.open(kind, repository, file.path, have, signal);
  const goesOn = response.status === 206;
  let bytes = goesOn ? have : 0;
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > file.bytes) body.destroy(new Error('more bytes than the hub named'));
    onBytes(bytes);
  });
  try {
    await pipeline(body, createWriteStream(part, { flags: goesOn ? 'a' : 'w' }), { signal });
  } catch (error) {
    if (signal.aborted || (error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    if (bytes > file.bytes) return;
    throw new UserError(`The connection broke while ${file.path} came. Download it again: it goes on where it was.`);
  }
}

async function matches(path: string, { checksum, bytes }: HubFile): Promise<boolean> {
  const isLarge = 'sha256' in checksum;
  const hash = createHash(isLarge ? 'sha256' : 'sha1');
  // Git's blob id is the SHA-1 of a header and the content (git-scm.com/book/en/v2/Git-Internals-Git-Objects).
  if (!isLarge) hash.update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex') === (isLarge ? checksum.sha256 : checksum.gitBlob);
}

function bytesOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
