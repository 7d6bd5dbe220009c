import crypto from 'node:crypto';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../engine/folders.ts';
import { sha256OfFile } from '../engine/python-wheel.ts';

/** SHA-256 of a file in hex. Remembered in the user's cache by path, size and time of change, so that it is read once. */
export async function fileSha256(file: string): Promise<string> {
  const absolute = path.resolve(file);
  const { size, mtimeMs } = await fsp.stat(absolute);
  const key = crypto.createHash('sha256').update(`${absolute}\n${size}\n${mtimeMs}`).digest('hex');
  const remembered = path.join(cacheFolder(), 'hashes', key);
  const known = await fsp.readFile(remembered, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const hash = await sha256OfFile(absolute);
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
