import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../engine/folders.ts';
import { sha256OfFile } from '../engine/python-wheel.ts';
import type { BaseModelFile, ModelFile } from './types.ts';

/** What changes when a file does: its place, size, number on the disk, and the nanosecond of its last change. */
export async function fileStamp(file: string): Promise<string> {
  const absolute = path.resolve(file);
  const { size, mtimeNs, ino } = await fsp.stat(absolute, { bigint: true });
  return [absolute, size, mtimeNs, ino].join('\n');
}

/** SHA-256 of a file in hex. Remembered in the user's cache by the file's stamp, so that it is read once. */
export async function fileSha256(file: string): Promise<string> {
  const stamp = await fileStamp(file);
  const key = crypto.createHash('sha256').update(stamp).digest('hex');
  const remembered = path.join(cacheFolder(), 'hashes', key);
  const known = await fsp.readFile(remembered, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const hash = await sha256OfFile(path.resolve(file));
  // One that changed under the reader has a hash that is nobody's.
  if ((await fileStamp(file)) !== stamp) return hash;
  await fsp.mkdir(path.dirname(remembered), { recursive: true });
  await fsp.writeFile(`${remembered}.${process.pid}`, hash);
  await fsp.rename(`${remembered}.${process.pid}`, remembered);
  return hash;
}

/** One hash for several files: of one file its own, of several the hash of their hashes, sorted. */
export function foldHashes(hashes: string[]): string {
  if (hashes.length === 1) return hashes[0]!;
  return crypto
    .createHash('sha256')
    .update([...hashes].sort().join('\n'))
    .digest('hex');
}

/** Whether a hash is a model's, or that of its language model alone. */
export async function isHashOf(
  sha256: string,
  { sha256: own, sees }: Pick<BaseModelFile, 'sha256'> & Partial<Pick<ModelFile, 'sees'>>,
): Promise<boolean> {
  return sha256 === (await own()) || sha256 === (await sees?.textSha256?.());
}
